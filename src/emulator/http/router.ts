import { isDiskFull } from "../durable-file.ts";
import { armFront, diskFull, isArmError } from "./arm-error.ts";

export type Method = "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE";

/** Where the knowledge behind a route comes from; printed on the coverage page. */
export type Source = "recorded" | "specification" | "documentation" | "inferred";

/** One request as a handler sees it: no sockets. */
export interface EmulatorRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Headers;
  /** Values of the `{…}` segments, percent-decoded, in the caller's case. */
  readonly params: Readonly<Record<string, string>>;
  /** The parsed JSON body; `undefined` when there was none. Routes with `rawBody` read `stream` instead. */
  readonly body: unknown;
  /** The body as it came, for uploads. */
  readonly stream: ReadableStream<Uint8Array> | null;
  /** `api-version` of the query, empty when absent. */
  readonly apiVersion: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export type Handler = (request: EmulatorRequest) => Response | Promise<Response>;

export interface Route {
  readonly method: Method;
  /** `/subscriptions/{subscription}/resourceGroups/{group}`; `{scope...}` takes one or more segments. */
  readonly path: string;
  readonly source: Source;
  readonly handle: Handler;
  /** Leave the body unread: the handler takes `stream`. */
  readonly rawBody?: boolean;
}

export function route(method: Method, path: string, source: Source, handle: Handler, more: { rawBody?: boolean } = {}): Route {
  return { method, path, source, handle, ...more };
}

interface Compiled {
  readonly route: Route;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly literals: number;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Finds the route of a request. Literals win over parameters, fixed words match in any case, doubled slashes count as one. */
export interface Router {
  find(method: string, path: string): Match | undefined;
  readonly routes: readonly Route[];
}

export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes.map(compile).sort((a, b) => b.literals - a.literals);
  const find = (path: string, accepts: (route: Route) => boolean): Match | undefined => {
    const plain = `/${path.split("/").filter(Boolean).join("/")}`;
    for (const entry of compiled) {
      if (!accepts(entry.route)) continue;
      const match = entry.pattern.exec(plain);
      if (!match) continue;
      try {
        const params = Object.fromEntries(entry.names.map((name, index) => [name, decodeURIComponent(match[index + 1] ?? "")]));
        return { route: entry.route, params };
      } catch {
        return undefined; // malformed percent-encoding
      }
    }
    return undefined;
  };
  return {
    routes,
    find: (method, path) =>
      find(path, (entry) => entry.method === method) ?? (method === "HEAD" ? find(path, (entry) => entry.method === "GET") : undefined),
  };
}

function compile(entry: Route): Compiled {
  const names: string[] = [];
  let literals = 0;
  const source = entry.path
    .split("/")
    .filter(Boolean)
    .map((segment) => {
      const parameter = /^\{(\w+)(\.\.\.)?\}$/.exec(segment);
      if (!parameter?.[1]) {
        literals += 1;
        return segment.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      }
      names.push(parameter[1]);
      return parameter[2] ? "(.+?)" : "([^/]+)";
    })
    .join("/");
  return { route: entry, pattern: new RegExp(`^/${source}/?$`, "i"), names, literals };
}

/** Runs a handler; a thrown `ArmError` becomes its own answer, a full disk a 507, anything else a 500 in ARM's shape. */
export async function answer(match: Match, request: EmulatorRequest, onBug: (error: unknown) => void): Promise<Response> {
  try {
    return await match.route.handle(request);
  } catch (error) {
    if (isArmError(error)) return error.toResponse();
    if (isDiskFull(error)) return diskFull().toResponse();
    onBug(error);
    return armFront(500, "InternalServerError", "The server encountered an internal error. Please retry the request.").toResponse();
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json; charset=utf-8", ...headers } });
}

/** A 200 whose body has no byte. */
export function empty(status = 200, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { "content-length": "0", ...headers } });
}
