import { KnownError } from "../base/errors.ts";
import { retry } from "../base/retry.ts";
import type { Arm } from "./arm.ts";
import { azureCodeOf } from "./errors.ts";
import type { Poller } from "./operations.ts";

/** How one server takes writes: one at a time, busy for minutes, and not known everywhere when it is new. */
interface WritesToServer {
  /** One write, in the server's queue: parallel writes to one server, children included, answer ServerIsBusy. */
  write<T>(what: string, begin: () => Promise<Poller<T>>, deadlineMs: number): Promise<T>;
  /** A server that was just made is not known everywhere in Azure for a while: not found means not yet. */
  onceKnown<T>(work: () => Promise<T>): Promise<T>;
  /** From now on it is new. */
  isCreated(): void;
}

/** How long after its own create a server may still be unknown to the writes of its children. */
const NEW_SERVER_MS = 5 * 60_000;
const NOT_KNOWN_PAUSE_MS = 3_000;

export function serverWrites(
  arm: Arm,
  read: (group: string, name: string) => Promise<{ readonly state: string } | undefined>,
): { to(group: string, server: string): WritesToServer } {
  const { clock, signal } = arm.context;
  const oneAtATime = queues();
  const createdAt = new Map<string, number>();
  /** Servers that were busy for longer than is waited. */
  const busy = new Set<string>();

  return {
    to: (group, server) => {
      const key = `${group}/${server}`.toLowerCase();

      /** A busy answer is worth waiting for only while the server runs or is on its way. */
      const stillRunning = async (): Promise<void> => {
        const { state } = (await read(group, server)) ?? {};
        if (state !== "Stopped" && state !== "Disabled") return;
        throw new KnownError("azure/conflict", `the server ${server} is ${state.toLowerCase()}`, {
          hint: "start it with `passwordless-pg server start`",
        });
      };

      const onceKnown: WritesToServer["onceKnown"] = (work) =>
        retry(work, {
          clock,
          signal,
          pauseMs: ({ error }) => {
            const isNew = clock.now() - (createdAt.get(key) ?? -NEW_SERVER_MS) < NEW_SERVER_MS;
            const isUnknown = ["ResourceNotFound", "ParentResourceNotFound"].includes(azureCodeOf(error) ?? "");
            return isNew && isUnknown ? NOT_KNOWN_PAUSE_MS : undefined;
          },
        });

      const write: WritesToServer["write"] = (what, begin, deadlineMs) =>
        oneAtATime(key, async () => {
          try {
            // What one write has waited for in vain, those behind it in the queue do not wait for again.
            const limits = { deadlineMs, isImpatient: busy.has(key), beforeRetry: stillRunning };
            const result = await onceKnown(() => arm.operate(what, begin, limits));
            busy.delete(key);
            return result;
          } catch (error) {
            if (error instanceof KnownError && error.code === "azure/busy") busy.add(key);
            throw error;
          }
        });

      return { write, onceKnown, isCreated: () => void createdAt.set(key, clock.now()) };
    },
  };
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
