import { createHash, timingSafeEqual } from "node:crypto";
import { createReadStream, readdirSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { Readable } from "node:stream";
import yazl from "yazl";
import { type EmulatorRequest, empty, type Handler, json, type Method, type Route, route, type Source } from "../../http/router.ts";
import type { AppLog } from "../../machines/app/log.ts";
import { listLogFiles } from "../../machines/app/log-files.ts";
import { pages } from "../../machines/app/pages.ts";
import { audiences, type Platform } from "../../platform.ts";
import type { Deployments } from "./deployments.ts";
import { openLogStream } from "./log-stream.ts";
import { isComplete, type Push, status } from "./model.ts";
import { MAX_PACKAGE_BYTES, PackageTooBig, type PackageUse } from "./package.ts";
import type { ScmSubject } from "./subject.ts";
import { deploymentToWire, logEntryToWire } from "./wire.ts";

/** What the routes of one SCM site work on. */
export interface ScmContext {
  readonly platform: Platform;
  readonly subject: () => ScmSubject;
  readonly deployments: Deployments;
  readonly log: AppLog;
  /** `https://localhost:PORT` */
  readonly origin: () => string;
  /** Aborted when the SCM container restarts. */
  readonly container: () => AbortSignal;
}

const LOCKED = "There is a deployment currently in progress. Please try again when it completes.";

/** All routes of an SCM site, each with and without `/api` (azure/kudu.md section 3). */
export function scmRoutes(context: ScmContext): readonly Route[] {
  const { deployments, subject } = context;
  const both = (method: Method, path: string, source: Source, handle: Handler, more: { rawBody?: boolean } = {}): Route[] => {
    const guarded: Handler = async (request) => withAffinity(refusal(context, request) ?? (await handle(request)), subject().siteId);
    return [route(method, `/api${path}`, source, guarded, more), route(method, path, source, guarded, more)];
  };
  const apiOf = (request: EmulatorRequest): string => `${context.origin()}${/^\/+api\//i.test(request.url.pathname) ? "/api" : ""}`;

  return [
    ...both(
      "POST",
      "/zipdeploy",
      "recorded",
      (request) => startDeployment(context, request, zipPush(request), isTrue(request, "isAsync")),
      {
        rawBody: true,
      },
    ),
    ...both("POST", "/publish", "recorded", (request) => publish(context, request), { rawBody: true }),
    ...both("PUT", "/publish", "documentation", (request) => publish(context, request), { rawBody: true }),
    ...both("GET", "/deployments", "specification", (request) => {
      const top = Number(request.url.searchParams.get("$top")) || undefined;
      const rows = deployments.list().slice(0, top);
      const body = JSON.stringify(rows.map((row) => deploymentToWire(row, subject().siteName, apiOf(request))));
      const etag = `"${createHash("sha1").update(body).digest("hex").slice(0, 16)}"`;
      if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: { etag } });
      return new Response(body, { headers: { "content-type": "application/json; charset=utf-8", etag } });
    }),
    ...both("GET", "/deployments/latest", "recorded", (request) => {
      const latest = deployments.latest();
      if (!latest) return text(404, "No deployments found.");
      const body = deploymentToWire(latest.deployment, subject().siteName, apiOf(request), latest.isTemporary);
      if (isComplete(latest.deployment)) return json(200, body);
      return json(202, body, { location: `${apiOf(request)}/deployments/latest` });
    }),
    ...both("GET", "/deployments/{id}", "recorded", (request) => {
      const found = deployments.find(request.params.id ?? "");
      return found ? json(200, deploymentToWire(found, subject().siteName, apiOf(request))) : noDeployment(request);
    }),
    ...both("GET", "/deployments/{id}/log", "recorded", (request) => {
      const entries = deployments.log(request.params.id ?? "");
      const base = `${apiOf(request)}/deployments/${request.params.id}/log`;
      return entries
        ? json(
            200,
            entries.map((entry) => logEntryToWire(entry, base)),
          )
        : noDeployment(request);
    }),
    ...both("GET", "/deployments/{id}/log/{logId}", "specification", (request) => {
      const entry = deployments.log(request.params.id ?? "")?.find(({ id }) => id === request.params.logId);
      return entry
        ? json(
            200,
            entry.details.map((detail) => logEntryToWire(detail, undefined)),
          )
        : noDeployment(request);
    }),
    ...both("GET", "/isdeploying", "specification", () => json(200, { value: deployments.isDeploying() ? "True" : "False", msg: "" })),
    ...both("GET", "/settings", "specification", () => json(200, subject().appSettings)),
    ...both("GET", "/environment", "specification", () =>
      json(200, { version: "20260203.2 (local Azure)", siteLastModified: subject().lastModified }),
    ),
    ...both("GET", "/vfs", "specification", (request) => vfs(context, request)),
    ...both("GET", "/vfs/{path...}", "specification", (request) => vfs(context, request)),
    ...both("GET", "/logs/docker", "specification", (request) => json(200, dockerLogs(context, apiOf(request)))),
    ...both("GET", "/logs/docker/zip", "specification", () => zippedLogs(context)),
    // `az webapp log download`
    ...both("GET", "/dump", "documentation", () => zippedLogs(context)),
    ...both("GET", "/logstream", "specification", (request) => logStream(context, request)),
    ...both("GET", "/logstream/{kind...}", "specification", (request) => logStream(context, request)),
  ];
}

/** What no route knows. */
export const scmFallback: Handler = () => text(404, "No route registered for this path.");

/** What a bearer of a token needs on the site (azure/ci-identity.md section 6). */
const PUBLISH = "Microsoft.Web/sites/publish/action";

/** The refusal of a request without the right to it, in the pages real SCM answers with (azure/kudu.md section 1). */
function refusal(context: ScmContext, request: EmulatorRequest): Response | undefined {
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

function withAffinity(response: Response, siteId: string): Response {
  const instance = createHash("sha256").update(`${siteId.toLowerCase()}#0`).digest("hex");
  const headers = new Headers(response.headers);
  headers.set("server", "Kestrel");
  headers.append("set-cookie", `ARRAffinity=${instance};Path=/;HttpOnly;Secure;Domain=localhost`);
  headers.append("set-cookie", `ARRAffinitySameSite=${instance};Path=/;HttpOnly;SameSite=None;Secure;Domain=localhost`);
  return new Response(response.body, { status: response.status, headers });
}

function zipPush(request: EmulatorRequest): Push {
  const query = request.url.searchParams;
  return {
    deployer: query.get("deployer") ?? "Push-Deployer",
    author: query.get("author") ?? "N/A",
    message: query.get("message") ?? "Created via a push deployment",
  };
}

function publish(context: ScmContext, request: EmulatorRequest): Response | Promise<Response> {
  const type = (request.url.searchParams.get("type") ?? "zip").toLowerCase();
  const use = packageUse(type, request);
  if (typeof use === "string") return text(400, use);
  if (request.headers.get("content-type")?.includes("json")) return text(400, "Local Azure takes the package itself, not a packageUri.");
  return startDeployment(context, request, { deployer: "OneDeploy", author: "N/A", message: "OneDeploy" }, isTrue(request, "async"), use);
}

/** What OneDeploy does with a package of this type, or why not. Types for Java have no place on the stacks of local Azure (texts inferred). */
function packageUse(type: string, request: EmulatorRequest): PackageUse | string {
  const path = (parameter(request, "path") ?? "").replace(/^\/+(home\/site\/wwwroot\/+)?/i, "");
  switch (type) {
    case "zip":
      return { keepsFiles: parameter(request, "clean")?.toLowerCase() === "false" };
    case "static":
      return path === "" ? "Path must be defined for type='static'" : { keepsFiles: true, fileName: path };
    case "startup":
      return { keepsFiles: true, fileName: path || "startup.sh" };
    case "war":
    case "jar":
    case "ear":
    case "lib":
    case "script":
      return `Local Azure does not deploy type='${type}'.`;
    default:
      return `type='${type}' not recognized`;
  }
}

async function startDeployment(
  context: ScmContext,
  request: EmulatorRequest,
  push: Push,
  isAsync: boolean,
  use?: PackageUse,
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

function dockerLogs(context: ScmContext, api: string): readonly object[] {
  return listLogFiles(join(context.subject().folder, "home", "LogFiles"))
    .filter(({ name }) => name.endsWith("docker.log"))
    .map(({ name, size, changed }) => ({
      machineName: /^\d{4}_\d\d_\d\d_(.+?)_(?:default_)?docker\.log$/.exec(name)?.[1] ?? name,
      lastUpdated: changed.toISOString(),
      size,
      href: `${api}/vfs/LogFiles/${name}`,
      path: `/home/LogFiles/${name}`,
    }));
}

function zippedLogs(context: ScmContext): Response {
  const zip = new yazl.ZipFile();
  // A log that was turned over meanwhile: the answer breaks off, as it would without its file.
  zip.on("error", (error: Error) => (zip.outputStream as Readable).destroy(error));
  for (const { name, path } of listLogFiles(join(context.subject().folder, "home", "LogFiles"))) zip.addFile(path, name);
  zip.end();
  return new Response(Readable.toWeb(zip.outputStream as Readable) as ReadableStream<Uint8Array>, {
    headers: { "content-type": "application/zip", "content-disposition": 'attachment; filename="docker-logs.zip"' },
  });
}

/** Files below the site's `/home`, read only. */
function vfs(context: ScmContext, request: EmulatorRequest): Response {
  const home = realpathSync(join(context.subject().folder, "home"));
  const releases = join(context.subject().folder, "releases") + sep;
  let path: string;
  try {
    path = realpathSync(join(home, request.params.path ?? ""));
  } catch {
    return text(404, "'/home' has no such entry.");
  }
  if (path !== home && !path.startsWith(home + sep) && !`${path}${sep}`.startsWith(realOr(releases)))
    return text(404, "'/home' has no such entry.");
  const entry = statSync(path);
  if (!entry.isDirectory()) {
    // Exactly as much as the header says: a log file grows meanwhile. A Range header is ignored, as KuduLite's public source lets expect.
    const content = entry.size > 0 ? createReadStream(path, { end: entry.size - 1 }) : Readable.from([]);
    return new Response(Readable.toWeb(content) as ReadableStream<Uint8Array>, {
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(entry.size),
        etag: `"${entry.mtimeMs.toString(16)}"`,
      },
    });
  }
  const base = `${context.origin()}${request.url.pathname.replace(/\/*$/, "/")}`;
  return json(
    200,
    readdirSync(path)
      .map((name) => vfsEntry(path, name, base))
      .filter((item) => item !== undefined),
  );
}

function realOr(folder: string): string {
  try {
    return realpathSync(folder) + sep;
  } catch {
    return folder;
  }
}

function vfsEntry(folder: string, name: string, base: string): object | undefined {
  const entry = statSync(join(folder, name), { throwIfNoEntry: false });
  if (!entry) return undefined;
  return {
    name,
    size: entry.size,
    mtime: entry.mtime.toISOString(),
    crtime: entry.birthtime.toISOString(),
    mime: entry.isDirectory() ? "inode/directory" : "application/octet-stream",
    href: `${base}${encodeURIComponent(name)}${entry.isDirectory() ? "/" : ""}`,
    path: join(folder, name),
  };
}

/** A parameter of the query, whatever the case of its name. */
function parameter(request: EmulatorRequest, name: string): string | undefined {
  return [...request.url.searchParams].find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

function isTrue(request: EmulatorRequest, name: string): boolean {
  return parameter(request, name)?.toLowerCase() === "true";
}

function noDeployment(request: EmulatorRequest): Response {
  return text(404, `Deployment '${request.params.id}' not found.`);
}

function text(code: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status: code, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

function html(code: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status: code, headers: { "content-type": "text/html", ...headers } });
}
