import type { PostgreSQLManagementFlexibleServerClient } from "@azure/arm-postgresql-flexible";
import { KnownError } from "../base/errors.ts";
import { memoize } from "../base/memoize.ts";
import { retry } from "../base/retry.ts";
import type { Arm } from "./arm.ts";
import { azureCodeOf } from "./errors.ts";
import { fromSimplePoller, type Poller } from "./operations.ts";

/** Which flexible server: its resource group and its name. */
type ServerAddress = readonly [group: string, server: string];

export type Sdk = PostgreSQLManagementFlexibleServerClient;
/** Begins an operation of the SDK. */
export type Begin<T> = (sdk: Sdk) => Promise<{ isDone(): boolean; poll(): Promise<unknown>; getResult(): T | undefined }>;

/** The way to flexible servers and what belongs to them. */
export interface ServerWrites {
  /** The SDK is loaded with the first call. */
  sdk(): Promise<Sdk>;
  /** One write in the server's queue, to the end of its operation: parallel writes to one server, children included, answer ServerIsBusy. */
  write<T>(what: string, at: ServerAddress, begin: Begin<T>, deadlineMs: number): Promise<T>;
  /** A server that was just made is not known everywhere in Azure for a while: not found means not yet. */
  onceKnown<T>(at: ServerAddress, work: () => Promise<T>): Promise<T>;
  noteCreated(at: ServerAddress): void;
}

/** How long after its own create a server may still be unknown to the writes of its children. */
const NEW_SERVER_MS = 5 * 60_000;
const NOT_KNOWN_PAUSE_MS = 3_000;

const keyOf = (at: ServerAddress): string => at.join("/").toLowerCase();

/** `@azure/arm-postgresql-flexible` 9, api-version 2025-08-01. */
export function serverWrites(arm: Arm): ServerWrites {
  const { clock, credential, signal, subscriptionId } = arm.context;
  const oneWriteAtATime = queues();
  const createdAt = new Map<string, number>();
  /** Servers that were busy for longer than is waited. */
  const busy = new Set<string>();
  const sdk = memoize(async () => {
    const { PostgreSQLManagementFlexibleServerClient } = await import("@azure/arm-postgresql-flexible");
    return new PostgreSQLManagementFlexibleServerClient(credential, subscriptionId, arm.clientOptions);
  });

  /** A busy answer is worth waiting for only while the server runs or is on its way. */
  const refuseStopped = async ([group, name]: ServerAddress): Promise<void> => {
    const server = await arm.orUndefined(`read the server ${name}`, async () => (await sdk()).servers.get(group, name));
    if (server?.state !== "Stopped" && server?.state !== "Disabled") return;
    throw new KnownError("azure/conflict", `the server ${name} is ${server.state.toLowerCase()}`, {
      hint: "start it with `passwordless-pg server start`",
    });
  };

  const onceKnown: ServerWrites["onceKnown"] = (at, work) =>
    retry(work, {
      clock,
      signal,
      pauseMs: ({ error }) => {
        const isNew = clock.now() - (createdAt.get(keyOf(at)) ?? -NEW_SERVER_MS) < NEW_SERVER_MS;
        const isUnknown = ["ResourceNotFound", "ParentResourceNotFound"].includes(azureCodeOf(error) ?? "");
        return isNew && isUnknown ? NOT_KNOWN_PAUSE_MS : undefined;
      },
    });

  return {
    sdk,
    onceKnown,
    noteCreated: (at) => createdAt.set(keyOf(at), clock.now()),
    write: <T>(what: string, at: ServerAddress, begin: Begin<T>, deadlineMs: number) => {
      const key = keyOf(at);
      const start = async (): Promise<Poller<T>> => fromSimplePoller(await begin(await sdk()));
      return oneWriteAtATime(key, async () => {
        try {
          // What one write has waited for in vain, those behind it in the queue do not wait for again.
          const limits = { deadlineMs, isImpatient: busy.has(key), beforeRetry: () => refuseStopped(at) };
          const result = await onceKnown(at, () => arm.operate(what, start, limits));
          busy.delete(key);
          return result;
        } catch (error) {
          if (error instanceof KnownError && error.code === "azure/busy") busy.add(key);
          throw error;
        }
      });
    },
  };
}

/** Settles a delete: of what is absent it answers 204, or 404 where the parent is gone too, and both are done. */
export async function absentIsFine(deletion: Promise<unknown>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code !== "azure/not-found") throw error;
  }
}

/** All pages of a list. */
export async function collect<From, To>(items: AsyncIterable<From>, convert: (item: From) => To): Promise<To[]> {
  const found: To[] = [];
  for await (const item of items) found.push(convert(item));
  return found;
}

/** Runs the work of one key in turn; keys run beside each other. */
function queues(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(work, work);
    tails.set(key, turn);
    return turn;
  };
}
