import { createHash, timingSafeEqual } from "node:crypto";
import type { EmulatorRequest } from "../../http/router.ts";
import { pages } from "../../machines/app/pages.ts";
import { audiences } from "../../platform.ts";
import { html } from "./answers.ts";
import type { ScmContext } from "./context.ts";

/** What a bearer of a token needs on the site (azure/ci-identity.md section 6). */
const PUBLISH = "Microsoft.Web/sites/publish/action";

/** The refusal of a request without the right to it, in the pages real SCM answers with (azure/kudu.md section 1). */
export function refusal(context: ScmContext, request: EmulatorRequest): Response | undefined {
  const { platform, subject } = context;
  const [scheme = "", credential = ""] = (request.headers.get("authorization") ?? "").split(" ", 2);
  if (scheme.toLowerCase() === "basic") {
    const { isBasicAllowed, publishing } = subject();
    const isRight = isEqual(Buffer.from(credential, "base64").toString("utf8"), `${publishing.user}:${publishing.password}`);
    return isBasicAllowed && isRight ? undefined : unauthorized();
  }
  if (scheme.toLowerCase() !== "bearer") return unauthorized();
  const checked = platform.tokens.verify(credential, [...audiences.appService, ...audiences.resourceManager]);
  if ("refusal" in checked) return checked.refusal === "audience" ? html(403, pages.stopped) : unauthorized();
  // An app's own identity has no role on any site until one is assigned to it.
  return platform.access.isAllowed(checked.claims.oid ?? "", PUBLISH, subject().siteId) ? undefined : html(403, pages.stopped);
}

function unauthorized(): Response {
  return html(401, pages.unauthorized, { "www-authenticate": 'Basic realm="site"' });
}

function isEqual(left: string, right: string): boolean {
  const digest = (value: string): Buffer => createHash("sha256").update(value).digest();
  return timingSafeEqual(digest(left), digest(right));
}
