import { type EmulatorRequest, empty } from "../../http/router.ts";
import { text } from "./answers.ts";
import type { ScmContext } from "./context.ts";
import type { Deployments } from "./deployments.ts";
import { type Push, status } from "./model.ts";
import { MAX_PACKAGE_BYTES, PackageTooBig, type PackageUse } from "./package.ts";
import { isTrue, packageUse } from "./package-use.ts";

const LOCKED = "There is a deployment currently in progress. Please try again when it completes.";

/** `/zipdeploy`: a zip that replaces all that is there. */
export function zipDeploy(context: ScmContext, request: EmulatorRequest): Promise<Response> {
  const query = request.url.searchParams;
  const push: Push = {
    deployer: query.get("deployer") ?? "Push-Deployer",
    author: query.get("author") ?? "N/A",
    message: query.get("message") ?? "Created via a push deployment",
  };
  return startDeployment(context, request, { push, isAsync: isTrue(query, "isAsync") });
}

/** `/publish`, OneDeploy. */
export function publish(context: ScmContext, request: EmulatorRequest): Response | Promise<Response> {
  const query = request.url.searchParams;
  const use = packageUse(query);
  if (typeof use === "string") return text(400, use);
  if (request.headers.get("content-type")?.includes("json")) return text(400, "Local Azure takes the package itself, not a packageUri.");
  const push: Push = { deployer: "OneDeploy", author: "N/A", message: "OneDeploy" };
  return startDeployment(context, request, { push, isAsync: isTrue(query, "async"), use });
}

async function startDeployment(
  context: ScmContext,
  request: EmulatorRequest,
  { push, isAsync, use }: { readonly push: Push; readonly isAsync: boolean; readonly use?: PackageUse },
): Promise<Response> {
  const packageFrom = context.subject().appSettings.WEBSITE_RUN_FROM_PACKAGE ?? "";
  if (/^https?:/i.test(packageFrom))
    return text(
      409,
      "Run-From-Zip is set to a remote URL using WEBSITE_RUN_FROM_PACKAGE app setting. Deployment is not supported in this configuration.",
    );
  // Told in advance, a package too big is not even taken in.
  if (Number(request.headers.get("content-length") ?? 0) > MAX_PACKAGE_BYTES) return tooBig();
  let started: Awaited<ReturnType<Deployments["push"]>>;
  try {
    started = await context.deployments.push(push, request.stream, request.signal, use);
  } catch (error) {
    if (error instanceof PackageTooBig) return tooBig();
    throw error;
  }
  if (!started) return text(409, LOCKED);
  const headers = { "SCM-DEPLOYMENT-ID": started.id };
  if (!isAsync) {
    const done = await started.done;
    return done.status === status.success ? empty(200, headers) : text(500, done.statusText, headers);
  }
  const time = new Date(context.platform.clock.now()).toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-");
  return empty(202, {
    ...headers,
    Location: `${context.origin()}/api/deployments/latest?deployer=${encodeURIComponent(push.deployer)}&time=${time}Z`,
    // Misspelled as in Azure; recorded/appservice/kudu-zipdeploy-async-202.json
    Retryafter: "30",
  });
}

function tooBig(): Response {
  return text(413, "The package is larger than 2048 MB.");
}
