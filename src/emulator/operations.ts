import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { type ClockMode, scaledMs } from "./clock-mode.ts";
import { isDiskFull } from "./durable-file.ts";
import { diskFull, isArmError } from "./http/arm-error.ts";
import { createUrlSigner, type UrlSigner } from "./signed-urls.ts";
import type { Collection, Store } from "./store.ts";

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
  /** Polls answered `InProgress` on the clock `fast`; 1 by default. */
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

/** What a failed operation tells. */
interface Failure {
  readonly code: string;
  readonly message: string;
}

/** The engine of long-running operations. Wire shapes (URLs, bodies) belong to the services. */
export interface Operations extends UrlSigner {
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
  /** Says that the end is near: work that fails from now on was broken off, and is taken up again at the next start. */
  ending(): void;
  /** Waits for the work in hand and stops the timers. */
  close(): Promise<void>;
  /** A recorded duration on the clock of this local Azure, in milliseconds: 0 when fast. For waits that are not operations (build, start). */
  scaledMs(recordedMs: number): number;
  /** Operations accepted inside `work` do their work and then end in `Failed` with this error (the fault `operation-fails`). */
  failingWith<T>(error: Failure, work: () => T): T;
}

interface Stored extends Operation {
  readonly pollsLeft: number;
  /** Epoch milliseconds. */
  readonly dueAt: number;
  /** Ends in this error whatever its work says. */
  readonly injectedFailure?: Failure;
}

/** Azure forgets finished operations after a while, too. */
const KEPT = 500;

/** The shortest hint all clients honour: a 0 counts as none, and without a hint the SDKs for Python and Go wait 30 s (seen with az). */
const FAST_HINT_SECONDS = 1;

/** On the clock `fast` an operation nobody polls ends after this time. */
const FAST_UNPOLLED_MS = 1_000;

interface Dependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly clockMode: ClockMode;
  readonly signingSecret: string;
  onBug(error: unknown): void;
}

interface Engine extends Dependencies {
  readonly rows: Collection<Stored>;
  readonly kinds: Map<string, OperationKind>;
  /** IDs of the operations in progress. */
  readonly unfinished: Set<string>;
  /** What the work came to, until the operation is due. */
  readonly outcomes: Map<string, { readonly result: unknown } | { readonly error: Failure }>;
  readonly working: Set<Promise<void>>;
  readonly timers: Set<NodeJS.Timeout>;
  isEnding: boolean;
}

export function createOperations(dependencies: Dependencies): Operations {
  const { store, clock, clockMode, signingSecret } = dependencies;
  const rows = store.collection<Stored>("operations");
  const engine: Engine = {
    ...dependencies,
    rows,
    kinds: new Map(),
    unfinished: new Set(rows.list().flatMap((row) => (row.status === "InProgress" ? [row.id] : []))),
    outcomes: new Map(),
    working: new Set(),
    timers: new Set(),
    isEnding: false,
  };
  const injectedFailure = new AsyncLocalStorage<Failure>();
  return {
    ...createUrlSigner(signingSecret, clock),
    define: (kind, does) => void engine.kinds.set(kind, does),
    accept: (request) => accept(engine, request, injectedFailure.getStore()),
    poll: (id) => poll(engine, id),
    peek: (id) => rows.get(id),
    running: (resourceId) => running(engine, resourceId),
    settle: () => settle(engine),
    resume: () => {
      for (const operation of inProgress(engine)) begin(engine, operation);
    },
    ending: () => {
      engine.isEnding = true;
    },
    close: async () => {
      engine.isEnding = true;
      for (const timer of engine.timers) clearTimeout(timer);
      await Promise.allSettled(engine.working);
    },
    scaledMs: (recordedMs) => scaledMs(clockMode, recordedMs),
    failingWith: (error, work) => injectedFailure.run(error, work),
  };
}

function inProgress({ unfinished, rows }: Engine): readonly Stored[] {
  return [...unfinished].flatMap((id) => rows.get(id) ?? []);
}

function accept(engine: Engine, request: OperationRequest, injectedFailure: Failure | undefined): Operation {
  const { clock, clockMode, rows } = engine;
  const now = clock.now();
  const { kind, name, resourceId, location, payload, retryAfterSeconds } = request;
  const isFast = clockMode.kind === "fast";
  const operation: Stored = {
    id: randomUUID(),
    kind,
    name,
    resourceId,
    location,
    startTime: new Date(now).toISOString(),
    status: "InProgress",
    payload,
    retryAfterSeconds: isFast ? Math.min(retryAfterSeconds, FAST_HINT_SECONDS) : Math.round(retryAfterSeconds * clockMode.scale),
    pollsLeft: isFast ? (request.polls ?? 1) : 0,
    dueAt: now + (isFast ? FAST_UNPOLLED_MS : scaledMs(clockMode, request.recordedMs)),
    ...(injectedFailure ? { injectedFailure } : {}),
  };
  rows.set(operation.id, operation);
  engine.unfinished.add(operation.id);
  forgetOldest(rows);
  begin(engine, operation);
  return operation;
}

function begin(engine: Engine, operation: Stored): void {
  const { working, timers, clock } = engine;
  const promise = work(engine, operation).finally(() => working.delete(promise));
  working.add(promise);
  const timer = setTimeout(
    () => {
      timers.delete(timer);
      settle(engine);
    },
    Math.max(0, operation.dueAt - clock.now()) + 1,
  );
  timer.unref();
  timers.add(timer);
}

async function work(engine: Engine, operation: Stored): Promise<void> {
  const { outcomes, kinds } = engine;
  try {
    await new Promise((resolve) => setImmediate(resolve)); // the handler that accepted it writes its rows first
    outcomes.set(operation.id, { result: await kinds.get(operation.kind)?.work?.(operation) });
  } catch (error) {
    if (engine.isEnding) return; // what the end breaks off goes on at the next start
    outcomes.set(operation.id, { error: failureOf(engine, error) });
  }
  settle(engine);
}

/** A bug is reported and hidden, as Azure hides its own. */
function failureOf({ onBug }: Engine, error: unknown): Failure {
  const known = isDiskFull(error) ? diskFull() : error;
  if (isArmError(known)) return { code: known.code, message: known.message };
  onBug(known);
  const message = `An unexpected error occured while processing the request. Tracking ID: '${randomUUID()}'`;
  return { code: "InternalServerError", message };
}

function settle(engine: Engine): void {
  const { clock, clockMode, outcomes, store } = engine;
  for (const operation of inProgress(engine)) {
    const outcome = outcomes.get(operation.id);
    if (!outcome) continue;
    const isDue = clock.now() >= operation.dueAt || (clockMode.kind === "fast" && operation.pollsLeft <= 0);
    if (!isDue) continue;
    outcomes.delete(operation.id);
    engine.unfinished.delete(operation.id);
    end(engine, operation, operation.injectedFailure ? { error: operation.injectedFailure } : outcome);
    store.commit();
  }
}

function end({ rows, kinds, clock }: Engine, operation: Stored, outcome: { readonly result: unknown } | { readonly error: Failure }): void {
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
}

/** As it was before this poll: the poll that ends an operation is still told that it goes on. */
function poll(engine: Engine, id: string): Operation | undefined {
  settle(engine);
  const operation = engine.rows.get(id);
  if (operation?.status === "InProgress" && operation.pollsLeft > 0) {
    engine.rows.set(id, { ...operation, pollsLeft: operation.pollsLeft - 1 });
  }
  return operation;
}

function running(engine: Engine, resourceId: string): readonly Operation[] {
  settle(engine);
  const wanted = resourceId.toLowerCase();
  return inProgress(engine).filter((row) => {
    const id = row.resourceId.toLowerCase();
    return id === wanted || id.startsWith(`${wanted}/`);
  });
}

function forgetOldest(rows: Collection<Stored>): void {
  const all = rows.list();
  if (all.length <= KEPT * 1.2) return;
  for (const row of all.slice(0, all.length - KEPT)) if (row.status !== "InProgress") rows.delete(row.id);
}
