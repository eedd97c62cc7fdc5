import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, randomUUID } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { isDiskFull } from "./durable-file.ts";
import { diskFull, isArmError } from "./http/arm-error.ts";
import type { Collection, Store } from "./store.ts";

/**
 * How long control-plane operations take.
 * `fast`: an operation ends once its work is done and it was polled `polls` times (or a second has passed unpolled), `Retry-After: 0`.
 * `recorded`: it ends after the recorded duration × `scale`, and `Retry-After` hints are scaled alike.
 */
export type Pace = { readonly kind: "fast" } | { readonly kind: "recorded"; readonly scale: number };

export interface Operation {
  /** A lower-case GUID. */
  readonly id: string;
  /** Chooses the work: `postgres/server-create`. Registered with `define`. */
  readonly kind: string;
  /** The name Azure gives it in the 202 body: `UpsertServerManagementOperationV2`. */
  readonly name: string;
  readonly resourceId: string;
  readonly location: string;
  readonly startTime: string;
  readonly endTime?: string;
  readonly status: "InProgress" | "Succeeded" | "Failed";
  readonly error?: { readonly code: string; readonly message: string };
  /** What the work needs, as JSON: it must suffice to do the work again after a `kill -9`. */
  readonly payload: unknown;
  /** What the work answered, for status documents that carry `properties`. */
  readonly result?: unknown;
  /** The provider's hint in seconds, already scaled. */
  readonly retryAfterSeconds: number;
}

export interface OperationRequest {
  readonly kind: string;
  readonly name: string;
  readonly resourceId: string;
  readonly location: string;
  readonly payload: unknown;
  /** Real duration in milliseconds, from the recordings. */
  readonly recordedMs: number;
  /** Real `Retry-After` in seconds; 0 when the provider sends none. */
  readonly retryAfterSeconds: number;
  /** Polls answered `InProgress` at pace `fast`; 1 by default. */
  readonly polls?: number;
}

interface OperationKind {
  /** Does the slow work (start a process, …). Must be repeatable: it runs again when local Azure was killed during it. A thrown `ArmError` makes the operation fail in the poll. */
  work?(operation: Operation): Promise<unknown>;
  /** The change of state that others see, at the very moment the operation ends well. Must not wait. */
  finish?(operation: Operation): void;
  /** The same when it fails. */
  fail?(operation: Operation): void;
}

/** The engine of long-running operations. Wire shapes (URLs, bodies) belong to the services. */
export interface Operations {
  define(kind: string, does: OperationKind): void;
  /** Begins an operation and returns at once. */
  accept(request: OperationRequest): Operation;
  /** Counts as a poll. `undefined` when there is no such operation. */
  poll(id: string): Operation | undefined;
  /** Looks without counting. */
  peek(id: string): Operation | undefined;
  /** The unfinished operations on a resource or below it. */
  running(resourceId: string): readonly Operation[];
  /** Ends what is due. The server calls it before each request, timers call it too. */
  settle(): void;
  /** Takes up what a `kill -9` left unfinished; call once after all kinds are defined. */
  resume(): void;
  /** Waits for the work in hand and stops the timers. */
  /** Says that the end is near: work that fails from now on was broken off, and is taken up again at the next start. */
  ending(): void;
  close(): Promise<void>;
  /** Appends Azure's signed query members (`t`, `c`, `s`, `h`), which a client must send back verbatim. */
  sign(url: string): string;
  /** Is the URL's signature the one we gave, over this very path and query? */
  isSigned(url: URL): boolean;
  /** A real duration at the current pace, in milliseconds: 0 when fast. For waits that are not operations (build, start). */
  paced(recordedMs: number): number;
  /** Operations accepted inside `work` do their work and then end in `Failed` with this error (the fault `operation-fails`). */
  failingWith<T>(error: { readonly code: string; readonly message: string }, work: () => T): T;
}

interface Stored extends Operation {
  readonly pollsLeft: number;
  /** Epoch milliseconds. */
  readonly dueAt: number;
  /** Ends in this error whatever its work says. */
  readonly doom?: { readonly code: string; readonly message: string };
}

/** Azure forgets finished operations after a while, too. */
const KEPT = 500;

/** The shortest hint all clients honour: a 0 counts as none, and without a hint the SDKs for Python and Go wait 30 s (seen with az). */
const FAST_HINT_SECONDS = 1;

/** At pace `fast` an operation nobody polls ends after this time. */
const FAST_UNPOLLED_MS = 1_000;

export function createOperations(
  store: Store,
  clock: Clock,
  pace: Pace,
  signingSecret: string,
  onBug: (error: unknown) => void,
): Operations {
  const rows = store.collection<Stored>("operations");
  const kinds = new Map<string, OperationKind>();
  const unfinished = new Set(rows.list().flatMap((row) => (row.status === "InProgress" ? [row.id] : [])));
  const settled = new Map<string, { result: unknown } | { error: { code: string; message: string } }>();
  const working = new Set<Promise<void>>();
  const timers = new Set<NodeJS.Timeout>();
  const doom = new AsyncLocalStorage<{ readonly code: string; readonly message: string }>();

  const inProgress = (): readonly Stored[] => [...unfinished].flatMap((id) => rows.get(id) ?? []);

  let isEnding = false;
  const begin = (operation: Stored): void => {
    const work = async (): Promise<void> => {
      try {
        await new Promise((resolve) => setImmediate(resolve)); // the handler that accepted it writes its rows first
        settled.set(operation.id, { result: await kinds.get(operation.kind)?.work?.(operation) });
      } catch (error) {
        const known = isDiskFull(error) ? diskFull() : error;
        if (!isEnding && !isArmError(known)) onBug(known);
        const { code, message } = isArmError(known)
          ? known
          : {
              code: "InternalServerError",
              message: `An unexpected error occured while processing the request. Tracking ID: '${randomUUID()}'`,
            };
        // What the end breaks off goes on at the next start.
        if (isEnding) return;
        settled.set(operation.id, { error: { code, message } });
      }
      api.settle();
    };
    const promise = work().finally(() => working.delete(promise));
    working.add(promise);
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        api.settle();
      },
      Math.max(0, operation.dueAt - clock.now()) + 1,
    );
    timer.unref();
    timers.add(timer);
  };

  const api: Operations = {
    define: (kind, does) => void kinds.set(kind, does),
    accept: (request) => {
      const now = clock.now();
      const isFast = pace.kind === "fast";
      const operation: Stored = {
        id: randomUUID(),
        kind: request.kind,
        name: request.name,
        resourceId: request.resourceId,
        location: request.location,
        startTime: new Date(now).toISOString(),
        status: "InProgress",
        payload: request.payload,
        retryAfterSeconds: isFast
          ? Math.min(request.retryAfterSeconds, FAST_HINT_SECONDS)
          : Math.round(request.retryAfterSeconds * pace.scale),
        pollsLeft: isFast ? (request.polls ?? 1) : 0,
        dueAt: now + (isFast ? FAST_UNPOLLED_MS : request.recordedMs * pace.scale),
        ...doomed(doom.getStore()),
      };
      rows.set(operation.id, operation);
      unfinished.add(operation.id);
      forgetOldest(rows);
      begin(operation);
      return operation;
    },
    poll: (id) => {
      api.settle();
      const operation = rows.get(id);
      if (operation?.status === "InProgress" && operation.pollsLeft > 0) {
        rows.set(id, { ...operation, pollsLeft: operation.pollsLeft - 1 });
        return operation;
      }
      return operation;
    },
    peek: (id) => rows.get(id),
    running: (resourceId) => {
      api.settle();
      const wanted = resourceId.toLowerCase();
      return inProgress().filter((row) => {
        const id = row.resourceId.toLowerCase();
        return id === wanted || id.startsWith(`${wanted}/`);
      });
    },
    settle: () => {
      for (const operation of inProgress()) {
        const done = settled.get(operation.id);
        const outcome = done && operation.doom ? { error: operation.doom } : done;
        if (!outcome) continue;
        const isDue = clock.now() >= operation.dueAt || (pace.kind === "fast" && operation.pollsLeft <= 0);
        if (!isDue) continue;
        settled.delete(operation.id);
        unfinished.delete(operation.id);
        const endTime = new Date(clock.now()).toISOString();
        const does = kinds.get(operation.kind);
        if ("error" in outcome) {
          rows.set(operation.id, { ...operation, status: "Failed", endTime, error: outcome.error });
          does?.fail?.(operation);
        } else {
          const ended: Stored = { ...operation, status: "Succeeded", endTime, result: outcome.result };
          rows.set(operation.id, ended);
          does?.finish?.(ended);
        }
        store.commit();
      }
    },
    resume: () => {
      for (const operation of inProgress()) begin(operation);
    },
    ending: () => {
      isEnding = true;
    },
    close: async () => {
      isEnding = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.allSettled(working);
    },
    sign: (text) => {
      const url = new URL(text);
      url.searchParams.set("t", String(621355968000000000n + BigInt(clock.now()) * 10000n));
      // Azure's own `c` is a certificate of 2-3 KB; long URLs are part of what a client must stand.
      url.searchParams.set("c", createHash("sha512").update(`${signingSecret}c`).digest("base64url").repeat(24));
      url.searchParams.set("s", seal(url, signingSecret));
      url.searchParams.set("h", createHash("sha256").update(url.search).digest("base64url"));
      return url.href;
    },
    isSigned: (url) => {
      const bare = new URL(url.href);
      const seals = [bare.searchParams.get("s"), bare.searchParams.get("h")];
      bare.searchParams.delete("h");
      const hash = createHash("sha256").update(bare.search).digest("base64url");
      bare.searchParams.delete("s");
      return seals[0] === seal(bare, signingSecret) && seals[1] === hash;
    },
    paced: (recordedMs) => (pace.kind === "fast" ? 0 : recordedMs * pace.scale),
    failingWith: (error, work) => doom.run(error, work),
  };
  return api;
}

function forgetOldest(rows: Collection<Stored>): void {
  const all = rows.list();
  if (all.length <= KEPT * 1.2) return;
  for (const row of all.slice(0, all.length - KEPT)) if (row.status !== "InProgress") rows.delete(row.id);
}

function doomed(error: { readonly code: string; readonly message: string } | undefined): Pick<Stored, "doom"> {
  return error ? { doom: error } : {};
}

function seal(url: URL, secret: string): string {
  return createHash("sha256").update(`${secret}${url.pathname}${url.search}`).digest("base64url");
}
