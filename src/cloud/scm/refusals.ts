import type { PipelineResponse } from "@azure/core-rest-pipeline";
import { type ErrorCode, KnownError } from "../../base/errors.ts";
import { failureError, withoutSecrets } from "../errors.ts";
import { hints } from "../hints.ts";
import { retryAfterMs } from "../retry-after.ts";

interface Refusal {
  readonly code: ErrorCode;
  readonly says: "refused to" | "cannot" | "failed to";
  readonly hint: string;
}

const TOO_BIG: Refusal = {
  code: "deploy/package-invalid",
  says: "refused to",
  hint: "the cause says what Kudu did not take: its limit is 2 GB, and the package must be a zip",
};

/** By status (Kudu notes, error texts). A 403 "stopped" page also stands for a missing role or a wrong audience. */
const refusals: Readonly<Record<number, Refusal>> = {
  400: TOO_BIG,
  401: { code: "azure/denied", says: "refused to", hint: hints.signInToSite },
  403: {
    code: "azure/denied",
    says: "refused to",
    hint: "either the app is stopped, or the account lacks the role Website Contributor on it",
  },
  404: {
    code: "azure/not-found",
    says: "cannot",
    hint: "run the same command again; if it stays so, the web app may have been deleted: `passwordless-pg plan`",
  },
  409: { code: "azure/busy", says: "refused to", hint: "another deployment is running: wait for its end, then deploy again" },
  413: TOO_BIG,
  429: { code: "azure/busy", says: "refused to", hint: "Azure throttles it: run the same command again in a minute" },
};

const failed: Refusal = { code: "azure/failed", says: "failed to", hint: "run the same command again in a minute" };

/** The words of an SCM refusal: its pages are HTML, whose title says it all. */
function wordsOf(body: string): string {
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1] ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(body)?.[1];
  return withoutSecrets((title ?? body).trim().slice(0, 500));
}

/** What an answer of the SCM site that is no success means, with the Retry-After it names. */
export function refusal(what: string, { status, headers, bodyAsText }: PipelineResponse): KnownError {
  const words = wordsOf(bodyAsText ?? "");
  const { code, says, hint } = refusals[status] ?? failed;
  return new KnownError(code, `the SCM site ${says} ${what}${status === 401 ? ": it does not take the token" : ""}`, {
    hint: status === 403 && /ip forbidden/i.test(words) ? "the access restrictions of the SCM site exclude this machine's address" : hint,
    cause: failureError({ status, code: `HTTP ${status}`, message: words === "" ? "no words" : words }),
    retryAfterMs: retryAfterMs(headers.get("retry-after")),
  });
}
