import { createHash } from "node:crypto";
import { join } from "node:path";
import { type EmulatorRequest, type Handler, json, type Route, route } from "../../http/router.ts";
import { text } from "./answers.ts";
import { refusal } from "./authorize.ts";
import type { ScmContext } from "./context.ts";
import { dockerLogs, zippedLogs } from "./docker-logs.ts";
import { openLogStream } from "./log-stream.ts";
import { isComplete } from "./model.ts";
import { publish, zipDeploy } from "./push.ts";
import { vfs } from "./vfs.ts";
import { deploymentToWire, logEntryToWire } from "./wire.ts";

/** All routes of an SCM site, each with and without `/api` (azure/kudu.md section 3). */
export function scmRoutes(context: ScmContext): readonly Route[] {
  return scmOperations(context).flatMap((operation) => {
    const handle: Handler = async (request) =>
      withAffinity(refusal(context, request) ?? (await operation.handle(request)), context.subject().siteId);
    return [`/api${operation.path}`, operation.path].map((path) => ({ ...operation, path, handle }));
  });
}

function scmOperations(context: ScmContext): readonly Route[] {
  const { subject } = context;
  return [
    route("POST", "/zipdeploy", "recorded", "raw", (request) => zipDeploy(context, request)),
    route("POST", "/publish", "recorded", "raw", (request) => publish(context, request)),
    route("PUT", "/publish", "documentation", "raw", (request) => publish(context, request)),
    ...deploymentOperations(context),
    route("GET", "/settings", "specification", () => json(200, subject().appSettings)),
    route("GET", "/environment", "specification", () =>
      json(200, { version: "20260203.2 (local Azure)", siteLastModified: subject().lastModified }),
    ),
    route("GET", "/vfs", "specification", (request) => vfs(context, request)),
    route("GET", "/vfs/{path...}", "specification", (request) => vfs(context, request)),
    route("GET", "/logs/docker", "specification", (request) => json(200, dockerLogs(context, apiOf(context, request)))),
    route("GET", "/logs/docker/zip", "specification", () => zippedLogs(context)),
    // `az webapp log download`
    route("GET", "/dump", "documentation", () => zippedLogs(context)),
    route("GET", "/logstream", "specification", (request) => logStream(context, request)),
    route("GET", "/logstream/{kind...}", "specification", (request) => logStream(context, request)),
  ];
}

function deploymentOperations(context: ScmContext): readonly Route[] {
  const { deployments, subject } = context;
  return [
    route("GET", "/deployments", "specification", (request) => {
      const top = Number(request.url.searchParams.get("$top")) || undefined;
      const rows = deployments.list().slice(0, top);
      const body = JSON.stringify(rows.map((row) => deploymentToWire(row, subject().siteName, apiOf(context, request))));
      const etag = `"${createHash("sha1").update(body).digest("hex").slice(0, 16)}"`;
      if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: { etag } });
      return new Response(body, { headers: { "content-type": "application/json; charset=utf-8", etag } });
    }),
    route("GET", "/deployments/latest", "recorded", (request) => {
      const latest = deployments.latest();
      if (!latest) return text(404, "No deployments found.");
      const body = deploymentToWire(latest.deployment, subject().siteName, apiOf(context, request), latest.isTemporary);
      if (isComplete(latest.deployment)) return json(200, body);
      return json(202, body, { location: `${apiOf(context, request)}/deployments/latest` });
    }),
    route("GET", "/deployments/{id}", "recorded", (request) => {
      const found = deployments.find(request.params.id ?? "");
      return found ? json(200, deploymentToWire(found, subject().siteName, apiOf(context, request))) : noDeployment(request);
    }),
    route("GET", "/deployments/{id}/log", "recorded", (request) => {
      const entries = deployments
        .log(request.params.id ?? "")
        ?.map((entry) => logEntryToWire(entry, `${apiOf(context, request)}/deployments/${request.params.id}/log`));
      return entries ? json(200, entries) : noDeployment(request);
    }),
    route("GET", "/deployments/{id}/log/{logId}", "specification", (request) => {
      const entry = deployments.log(request.params.id ?? "")?.find(({ id }) => id === request.params.logId);
      const details = entry?.details.map((detail) => logEntryToWire(detail, undefined));
      return details ? json(200, details) : noDeployment(request);
    }),
    route("GET", "/isdeploying", "specification", () => json(200, { value: deployments.isDeploying() ? "True" : "False", msg: "" })),
  ];
}

/** The base of links in an answer: they copy the form that was called. */
function apiOf({ origin }: ScmContext, { url }: EmulatorRequest): string {
  return `${origin()}${/^\/+api\//i.test(url.pathname) ? "/api" : ""}`;
}

/** What no route knows. */
export const scmFallback: Handler = () => text(404, "No route registered for this path.");

function withAffinity(response: Response, siteId: string): Response {
  const instance = createHash("sha256").update(`${siteId.toLowerCase()}#0`).digest("hex");
  const headers = new Headers(response.headers);
  headers.set("server", "Kestrel");
  headers.append("set-cookie", `ARRAffinity=${instance};Path=/;HttpOnly;Secure;Domain=localhost`);
  headers.append("set-cookie", `ARRAffinitySameSite=${instance};Path=/;HttpOnly;SameSite=None;Secure;Domain=localhost`);
  return new Response(response.body, { status: response.status, headers });
}

function logStream(context: ScmContext, request: EmulatorRequest): Response {
  const { folder, isHttpLogging } = context.subject();
  const body = openLogStream({
    // Without file system logging the stream has nothing to show.
    folder: join(folder, "home", isHttpLogging ? "LogFiles" : "LogFiles.none"),
    href: `${context.origin()}/api/vfs/LogFiles`,
    log: context.log,
    filter: request.url.searchParams.get("filter") ?? "",
    clock: context.platform.clock,
    signal: AbortSignal.any([request.signal, context.container()]),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-cache" } });
}

function noDeployment(request: EmulatorRequest): Response {
  return text(404, `Deployment '${request.params.id}' not found.`);
}
