import { randomUUID } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { isDeeperThan } from "../../base/json.ts";
import { readClaims } from "../../base/jwt.ts";
import type { Operations } from "../operations.ts";
import type { Store } from "../store.ts";
import { type ArmError, armFront, diskFull } from "./arm-error.ts";
import type { FaultAction, Faults } from "./faults.ts";
import { type Journal, plainQuery } from "./journal.ts";
import type { Incoming, Outgoing } from "./listener.ts";
import { answer, type EmulatorRequest, type Handler, type Match, type Method } from "./router.ts";
import type { OnTraffic } from "./traffic.ts";

/** JSON bodies above this are refused with 413, as ARM does (its code and text from memory of its users' reports). */
const JSON_LIMIT_BYTES = 4 * 1024 * 1024;
/** Json.NET, which ARM's own front end reads with, stops at 64 levels (inferred for ARM); nothing that is kept may be deeper than it can be written. */
const JSON_LIMIT_DEPTH = 64;
/** A name in the journal; Node takes 16 KB of path. */
const JOURNAL_TEXT = 2_048;

/** What every listener of local Azure shares. */
export interface Machinery {
  readonly clock: Clock;
  readonly store: Store;
  readonly operations: Operations;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly onTraffic?: OnTraffic | undefined;
  onBug(error: unknown): void;
}

/** One HTTP host: where its requests go. */
export interface Host {
  /** For journal and faults. */
  readonly name: string;
  /** Finds the handler, or refuses by throwing an `ArmError` (authentication, api-version). */
  find(incoming: Incoming): Match;
  /** Headers of every answer. */
  headers?(incoming: Incoming): Record<string, string>;
}

/** The way of every request: fault, settle what is due, find, read, work, commit, journal, answer. */
export async function handleRequest(machinery: Machinery, host: Host, incoming: Incoming): Promise<Outgoing> {
  const { clock, journal } = machinery;
  const startedAt = clock.now();
  const { pathname } = incoming.url;
  const fault = pathname.startsWith("/_local/") ? undefined : machinery.faults.take(host.name, incoming.method, pathname);
  const at = { host: host.name, method: incoming.method, path: pathname };
  if ((await machinery.onTraffic?.({ phase: "arrived", ...at })) === "drop") return "reset";
  const outgoing = await withFault(machinery, host, incoming, fault);
  const bearer = /^Bearer (.+)$/i.exec(incoming.headers.get("authorization") ?? "")?.[1];
  const claimed: unknown = bearer ? readClaims(bearer)?.oid : undefined;
  const caller = typeof claimed === "string" ? claimed.slice(0, 64) : undefined;
  const clientRequestId = incoming.headers.get("x-ms-client-request-id");
  if (!pathname.startsWith("/_local/")) {
    journal.add({
      time: new Date(startedAt).toISOString(),
      host: host.name,
      method: incoming.method,
      path: pathname.slice(0, JOURNAL_TEXT),
      query: plainQuery(incoming.url).slice(0, JOURNAL_TEXT),
      status: outgoing === "reset" ? 0 : outgoing.response.status,
      ms: clock.now() - startedAt,
      ...(caller ? { caller } : {}),
      ...(clientRequestId ? { clientRequestId } : {}),
      ...(fault ? { fault: fault.kind } : {}),
    });
  }
  return (await machinery.onTraffic?.({ phase: "done", ...at })) === "drop" ? "reset" : outgoing;
}

async function withFault(machinery: Machinery, host: Host, incoming: Incoming, fault: FaultAction | undefined): Promise<Outgoing> {
  const work = (): Promise<Response> => toAnswer(machinery, host, incoming);
  switch (fault?.kind) {
    case "reset":
      return "reset";
    case "status":
      return { response: withHeaders(statusOf(fault), host.headers?.(incoming) ?? {}) };
    case "html":
      return { response: new Response(GATEWAY_PAGE, { status: fault.status ?? 502, headers: { "content-type": "text/html" } }) };
    case "stall":
      try {
        await machinery.clock.sleep(fault.ms, incoming.signal);
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
      return { response: await machinery.operations.failingWith(error, work) };
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
  return armFront(fault.status, code, fault.message ?? "The request failed by a fault put on its route.", { headers }).toResponse();
}

async function toAnswer(machinery: Machinery, host: Host, incoming: Incoming): Promise<Response> {
  const { operations, store } = machinery;
  operations.settle();
  const changesBefore = store.changes();
  // `answer` turns what is thrown by the search and the reading of the body into answers, too.
  const handle: Handler = async (request) => {
    const match = host.find(incoming);
    const body = match.route.rawBody ? undefined : await readJson(incoming);
    return match.route.handle({ ...request, params: match.params, body });
  };
  const route = { method: "GET", path: "", source: "inferred", handle } as const;
  // A client that goes away in the middle of its upload is no bug of ours.
  const onBug = (error: unknown): void => void (incoming.signal.aborted || machinery.onBug(error));
  const response = await answer({ route, params: {} }, bareRequest(incoming), onBug);
  // Where the disk is full reads go on: what they change (a count of polls) may be forgotten. A write that is not kept is not acknowledged.
  const isKept = store.commit() || isRead(incoming) || store.changes() === changesBefore;
  if (!isKept) await response.body?.cancel();
  return withHeaders(isKept ? response : diskFull().toResponse(), host.headers?.(incoming) ?? {});
}

function isRead({ method }: Incoming): boolean {
  return method === "GET" || method === "HEAD";
}

function bareRequest(incoming: Incoming): EmulatorRequest {
  const { url, headers, stream, signal } = incoming;
  const method = incoming.method as Method;
  return { method, url, headers, stream, signal, params: {}, body: undefined, apiVersion: url.searchParams.get("api-version") ?? "" };
}

async function readJson(incoming: Incoming): Promise<unknown> {
  if (!incoming.stream) return undefined;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of incoming.stream) {
    size += part.byteLength;
    if (size > JSON_LIMIT_BYTES) {
      throw armFront(413, "RequestContentTooLarge", `The request content size exceeds the maximum size of ${JSON_LIMIT_BYTES} bytes.`);
    }
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString("utf8");
  if (text.trim() === "") return undefined;
  const invalid = (detail: string): ArmError =>
    armFront(400, "InvalidRequestContent", `The request content was invalid and could not be deserialized: '${detail}'.`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : "");
  }
  if (isDeeperThan(body, JSON_LIMIT_DEPTH)) throw invalid(`The reader's MaxDepth of ${JSON_LIMIT_DEPTH} has been exceeded.`);
  return body;
}

function withHeaders(response: Response, extra: Record<string, string>): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(extra)) if (!headers.has(name)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}

/** The 501 for what local Azure does not know: 404 would mean "absent". */
export function notImplemented(incoming: Incoming, where: string): ArmError {
  const { pathname } = incoming.url;
  const version = incoming.url.searchParams.get("api-version");
  const message = `Local Azure has no route for ${incoming.method} ${pathname}${version ? ` (api-version ${version})` : ""} on ${where}.`;
  return armFront(501, "NotImplementedByLocalAzure", message);
}

/** The request IDs that ARM puts on every answer. */
export function armHeaders(incoming: Incoming): Record<string, string> {
  const id = randomUUID();
  const clientId = incoming.headers.get("x-ms-client-request-id");
  const budget = isRead(incoming) ? "reads" : incoming.method === "DELETE" ? "deletes" : "writes";
  return {
    "cache-control": "no-cache",
    pragma: "no-cache",
    expires: "-1",
    [`x-ms-ratelimit-remaining-subscription-${budget}`]: isRead(incoming) ? "11999" : budget === "deletes" ? "14999" : "1199",
    "x-ms-request-id": id,
    "x-ms-correlation-request-id": incoming.headers.get("x-ms-correlation-request-id") ?? id,
    "x-ms-routing-request-id": `LOCAL:${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}:${id}`,
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    ...(clientId && incoming.headers.get("x-ms-return-client-request-id") === "true" ? { "x-ms-client-request-id": clientId } : {}),
  };
}
