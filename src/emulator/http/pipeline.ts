import type { Clock } from "../../base/clock.ts";
import { readClaims, type TokenClaims } from "../../base/jwt.ts";
import { isDiskFull } from "../durable-file.ts";
import type { Store } from "../store.ts";
import { armError, diskFull, isArmError } from "./arm-error.ts";
import { checkShape } from "./body-shape.ts";
import type { FaultAction, Faults } from "./faults.ts";
import { type Journal, plainQuery } from "./journal.ts";
import type { Incoming, Outgoing } from "./listener.ts";
import { readJson } from "./read-json.ts";
import { type EmulatorRequest, type Handler, isRead, type Match, type Method, type Route } from "./router.ts";
import type { OnTraffic } from "./traffic.ts";

/** A name in the journal; Node takes 16 KB of path. */
const JOURNAL_TEXT = 2_048;

/** What every listener of local Azure shares. */
export interface HttpContext {
  readonly clock: Clock;
  readonly store: Store;
  /** Ends what is due; and what is accepted inside a work that is to fail. */
  readonly operations: {
    settle(): void;
    failingWith<T>(error: { readonly code: string; readonly message: string }, work: () => T): T;
  };
  readonly journal: Journal;
  readonly faults: Faults;
  readonly onTraffic?: OnTraffic | undefined;
  onBug(error: unknown): void;
}

/** One HTTP host: where its requests go. */
export interface Host<R extends Route = Route> {
  /** For journal and faults. */
  readonly name: string;
  find(incoming: Incoming): Match<R> | undefined;
  /** The front door: throws an `ArmError` at whom it does not let in. `match` is absent where no route is. */
  authorize?(incoming: Incoming, match: Match<R> | undefined): Admission;
  /** Answers what no route knows. */
  readonly fallback: Handler;
  /** Headers of every answer. */
  headers?(incoming: Incoming): Record<string, string>;
}

/** What the front door still has to see of a request that it let in. */
export interface Admission {
  /** Asked about a body of the route's shape. */
  checkBody?(body: unknown): void;
  /** Makes of the handler's answer what the caller gets. */
  finish?(response: Response): Response | Promise<Response>;
}

/** One request under way. */
interface Call<R extends Route> {
  readonly context: HttpContext;
  readonly host: Host<R>;
  readonly incoming: Incoming;
  readonly caller: TokenClaims | undefined;
}

/** The way of every request: fault, settle what is due, find, authorize, read, work, commit, journal, answer. */
export async function handleRequest<R extends Route>(context: HttpContext, host: Host<R>, incoming: Incoming): Promise<Outgoing> {
  const { clock, journal } = context;
  const startedAt = clock.now();
  const { pathname } = incoming.url;
  const isControl = pathname.startsWith("/_local/");
  const fault = isControl ? undefined : context.faults.take(host.name, incoming.method, pathname);
  const at = { host: host.name, method: incoming.method, path: pathname };
  if ((await context.onTraffic?.({ phase: "arrived", ...at })) === "drop") return "reset";
  const caller = callerOf(incoming.headers);
  const outgoing = await withFault({ context, host, incoming, caller }, fault);
  const clientRequestId = incoming.headers.get("x-ms-client-request-id");
  if (!isControl) {
    journal.add({
      time: new Date(startedAt).toISOString(),
      host: host.name,
      method: incoming.method,
      path: pathname.slice(0, JOURNAL_TEXT),
      query: plainQuery(incoming.url).slice(0, JOURNAL_TEXT),
      status: outgoing === "reset" ? 0 : outgoing.response.status,
      ms: clock.now() - startedAt,
      ...(caller?.oid ? { caller: caller.oid.slice(0, 64) } : {}),
      ...(clientRequestId ? { clientRequestId } : {}),
      ...(fault ? { fault: fault.kind } : {}),
    });
  }
  return (await context.onTraffic?.({ phase: "done", ...at })) === "drop" ? "reset" : outgoing;
}

function callerOf(headers: Headers): TokenClaims | undefined {
  const bearer = /^Bearer (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ? readClaims(bearer) : undefined;
}

async function withFault<R extends Route>(call: Call<R>, fault: FaultAction | undefined): Promise<Outgoing> {
  const { context, host, incoming } = call;
  const work = (): Promise<Response> => respond(call);
  switch (fault?.kind) {
    case "reset":
      return "reset";
    case "status":
      return { response: withHeaders(statusOf(fault), host.headers?.(incoming) ?? {}) };
    case "html":
      return { response: new Response(GATEWAY_PAGE, { status: fault.status ?? 502, headers: { "content-type": "text/html" } }) };
    case "stall":
      try {
        await context.clock.sleep(fault.ms, incoming.signal);
      } catch {
        return "reset"; // the client went away first
      }
      return { response: await work() };
    case "cut":
      return { response: await work(), isCut: true };
    case "drop-after":
      await (await work()).body?.cancel();
      return "reset";
    case "operation-fails": {
      const error = { code: fault.code, message: fault.message ?? "The operation failed by a fault put on its route." };
      return { response: await context.operations.failingWith(error, work) };
    }
    default:
      return { response: await work() };
  }
}

const GATEWAY_PAGE =
  "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>Microsoft-Azure-Application-Gateway/v2</center></body></html>";

function statusOf(fault: Extract<FaultAction, { kind: "status" }>): Response {
  const headers = { "content-type": "application/json; charset=utf-8", ...fault.headers };
  if (fault.body !== undefined) return new Response(JSON.stringify(fault.body), { status: fault.status, headers });
  const code = fault.code ?? (fault.status === 429 ? "TooManyRequests" : "InternalServerError");
  return armError(fault.status, code, fault.message ?? "The request failed by a fault put on its route.", { headers }).toResponse();
}

/** Does the work of a request and keeps what it changed. */
async function respond<R extends Route>(call: Call<R>): Promise<Response> {
  const { context, host, incoming } = call;
  const { operations, store } = context;
  operations.settle();
  const changesBefore = store.changes();
  // A client that goes away in the middle of its upload is no bug of ours.
  const onBug = (error: unknown): void => void (incoming.signal.aborted || context.onBug(error));
  const response = await answer(() => work(call), onBug);
  // Where the disk is full reads go on: what they change (a count of polls) may be forgotten. A write that is not kept is not acknowledged.
  const isKept = store.commit() || isRead(incoming.method) || store.changes() === changesBefore;
  if (!isKept) await response.body?.cancel();
  return withHeaders(isKept ? response : diskFull().toResponse(), host.headers?.(incoming) ?? {});
}

/** Does the work; a thrown `ArmError` becomes its own answer, a full disk a 507, anything else a 500 in ARM's shape. */
async function answer(work: () => Promise<Response>, onBug: (error: unknown) => void): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (isArmError(error)) return error.toResponse();
    if (isDiskFull(error)) return diskFull().toResponse();
    onBug(error);
    return armError(500, "InternalServerError", "The server encountered an internal error. Please retry the request.").toResponse();
  }
}

async function work<R extends Route>({ host, incoming, caller }: Call<R>): Promise<Response> {
  const { url, headers, stream, signal } = incoming;
  const match = host.find(incoming);
  const admission = host.authorize?.(incoming, match);
  const apiVersion = url.searchParams.get("api-version") ?? "";
  const method = incoming.method as Method;
  const request: EmulatorRequest = { method, url, headers, stream, signal, caller, params: {}, body: undefined, apiVersion };
  if (!match) return host.fallback(request);
  const { route, params } = match;
  const body = route.body === "raw" ? undefined : await readJson(stream);
  if (typeof route.body === "object") {
    checkShape(body, route.body);
    admission?.checkBody?.(body);
  }
  const response = await route.handle({ ...request, params, body });
  return admission?.finish ? admission.finish(response) : response;
}

function withHeaders(response: Response, extra: Record<string, string>): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(extra)) if (!headers.has(name)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}
