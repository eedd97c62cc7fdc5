import type { TokenClaims } from "../../base/jwt.ts";
import type { BodyShape } from "./body-shape.ts";

type BodilessMethod = "GET" | "HEAD" | "DELETE";
type BodyMethod = "PUT" | "PATCH" | "POST";
export type Method = BodilessMethod | BodyMethod;

/** Where the knowledge behind a route comes from; printed on the coverage page. */
export type Source = "recorded" | "specification" | "documentation" | "inferred";

/** One request as a handler sees it: no sockets. */
export interface EmulatorRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Headers;
  /** Values of the `{…}` segments, percent-decoded, in the caller's case. */
  readonly params: Readonly<Record<string, string>>;
  /** The parsed JSON body, of the shape its route declares; `undefined` when there was none. A `raw` route reads `stream` instead. */
  readonly body: unknown;
  /** The body as it came, for uploads. */
  readonly stream: ReadableStream<Uint8Array> | null;
  /** `api-version` of the query, empty when absent. */
  readonly apiVersion: string;
  /** What the bearer token says of its holder. ARM's front door has verified it; elsewhere it is a claim. */
  readonly caller: TokenClaims | undefined;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export type Handler = (request: EmulatorRequest) => Response | Promise<Response>;

/** What a route takes: JSON of a shape, `none` that it would look at, or the `raw` stream. */
export type RouteBody = BodyShape | "none" | "raw";

/** One operation. `H` is what a table's handlers are given, before they are bound to the resource they stand on. */
export interface RouteOf<H> {
  readonly method: Method;
  /** `/subscriptions/{subscription}/resourceGroups/{group}`; `{scope...}` takes one or more segments. */
  readonly path: string;
  readonly source: Source;
  readonly body: RouteBody;
  readonly handle: H;
  /** Answered, but not claimed: neither on the coverage page nor among the provider's resource types. */
  readonly isUnlisted?: boolean;
}

export type Route = RouteOf<Handler>;

/** A row of a table of routes. One that can have a body must say what it takes. */
export function route<H = Handler>(method: BodilessMethod, path: string, source: Source, handle: H): RouteOf<H>;
export function route<H = Handler>(method: BodyMethod, path: string, source: Source, body: RouteBody, handle: H): RouteOf<H>;
export function route<H>(method: Method, path: string, source: Source, ...rest: [H] | [RouteBody, H]): RouteOf<H> {
  const [body, handle] = rest.length === 1 ? (["none", rest[0]] as const) : rest;
  return { method, path, source, body, handle };
}

interface Compiled<R> {
  readonly route: R;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly literals: number;
}

export interface Match<R extends Route = Route> {
  readonly route: R;
  readonly params: Readonly<Record<string, string>>;
}

/** What a table's row does with the resource it stands on. */
export type OnResource<T> = (resource: T, request: EmulatorRequest) => Response | Promise<Response>;

/** The rows as routes: each finds its resource first. `find` throws the refusal for one that is not there. */
export function boundTo<T>(find: (request: EmulatorRequest) => T, rows: readonly RouteOf<OnResource<T>>[]): readonly Route[] {
  return rows.map((row) => ({ ...row, handle: (request) => row.handle(find(request), request) }));
}

export function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** Finds the route of a request. Literals win over parameters, fixed words match in any case, doubled slashes count as one. */
export interface Router<R extends Route> {
  find(method: string, path: string): Match<R> | undefined;
}

export function createRouter<R extends Route>(routes: readonly R[]): Router<R> {
  const compiled = routes.map(compile).sort((a, b) => b.literals - a.literals);
  const find = (path: string, accepts: (route: R) => boolean): Match<R> | undefined => {
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
    find: (method, path) =>
      find(path, (entry) => entry.method === method) ?? (method === "HEAD" ? find(path, (entry) => entry.method === "GET") : undefined),
  };
}

function compile<R extends Route>(entry: R): Compiled<R> {
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

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json; charset=utf-8", ...headers } });
}

/** A 200 whose body has no byte. */
export function empty(status = 200, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { "content-length": "0", ...headers } });
}
