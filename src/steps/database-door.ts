import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { hints } from "../cloud/hints.ts";
import type { FirewallRule, PostgresServers } from "../cloud/postgres-servers.ts";
import { refusedAddress } from "../cloud/sql.ts";

/**
 * The caller's own way through the server's firewall. Nothing is opened while the server lets the caller in anyway;
 * when it refuses, exactly the address it saw is let in until `close`.
 */
export interface DatabaseDoor {
  /** Runs `work`; when the firewall refuses it, opens for the refused address and runs it again until that has taken effect. */
  through<T>(server: { readonly name: string }, work: () => Promise<T>): Promise<T>;
  /** Names of the rules this run has opened and not given back. */
  readonly openings: ReadonlySet<string>;
  /** Gives every opening back. Must run on every way out; works after Ctrl-C too. */
  close(): Promise<void>;
}

/** One address that is let in for the time of a run. */
export interface Opening {
  /** Of the firewall rule. */
  readonly name: string;
  readonly server: string;
  readonly address: string;
}

/** A memory outside of the process, for openings that a killed run could not give back. Never fails. */
export interface OpeningNotes {
  add(opening: Opening): void;
  remove(name: string): void;
  /** Of runs that are no more. */
  abandoned(): readonly Opening[];
}

/** A rule can need up to five minutes to act after its operation has succeeded (Microsoft's firewall documentation). */
const effectDeadlineMs = 5 * 60_000;
/** While a rule takes effect, each so many refusals it is checked that it still stands. */
const reopenEvery = 5;
/** An opening of somebody else's run is left alone for this long. */
const strangerGraceMs = 60 * 60_000;
const prefix = "passwordless-pg-";

interface DoorContext {
  readonly servers: PostgresServers;
  /** Adapters that still work after the run's signal was aborted, for giving back. */
  readonly openServersForCleanup: () => Promise<PostgresServers>;
  readonly group: string;
  readonly callerId: string;
  readonly owner: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly notes: OpeningNotes;
  onNote(note: string): void;
}

export function createDatabaseDoor(context: DoorContext): DatabaseDoor {
  const { servers, group, clock, signal, notes } = context;
  const opened = new Map<string, Omit<Opening, "name">>();
  let opening: Promise<void> = Promise.resolve();
  /** Openings that a killed run has noted: they may be there, in the making, or never have been asked for. */
  let adopted: Set<string> | undefined;

  /** This run gives back what a killed one has borrowed. Azure may not show it yet, but takes a DELETE only when the PUT has ended (inferred). */
  const adopt = (): void => {
    if (adopted) return;
    const left = notes.abandoned().filter(({ name }) => name.startsWith(mark(context)));
    for (const { name, server, address } of left) opened.set(name, { server, address });
    adopted = new Set(left.map(({ name }) => name));
  };

  const open = async (server: string, address: string, attempt: number): Promise<void> => {
    const existing = [...opened].find(([, entry]) => entry.server === server && entry.address === address);
    if (existing) {
      const isNew = adopted?.delete(existing[0]) ?? false;
      if (!isNew) {
        // Another run of this caller may have taken it for a leftover: look now and then, and put it again.
        if (attempt === 0 || attempt % reopenEvery !== 0) return;
        const rules = await servers.listFirewallRules(group, server);
        if (rules.some(({ name }) => name === existing[0])) return;
      }
      await servers.putFirewallRule(group, server, { name: existing[0], start: address, end: address });
      return;
    }
    // The random part keeps two runs of one caller apart.
    const name = `${mark(context)}-${Math.floor(clock.now() / 60_000).toString(36)}-${randomBytes(3).toString("hex")}`;
    // Both before the call: a killed or cancelled write may have been accepted.
    opened.set(name, { server, address });
    notes.add({ name, server, address });
    context.onNote(`opening the firewall of ${server} for ${address} while this command works`);
    await servers.putFirewallRule(group, server, { name, start: address, end: address });
  };

  return {
    get openings() {
      return new Set(opened.keys());
    },
    through: async (server, work) => {
      adopt();
      const deadline = clock.now() + effectDeadlineMs;
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await work();
        } catch (error) {
          const address = refusedAddress(error);
          if (address === undefined) throw error;
          if (clock.now() > deadline) {
            throw new KnownError(
              "database/firewall",
              `${server.name} still refuses ${address} five minutes after a firewall rule let it in`,
              {
                cause: error,
                hint: hints.stillRefused,
              },
            );
          }
          const turn = opening.catch(() => {}).then(() => open(server.name, address, attempt));
          opening = turn;
          await turn;
          await clock.sleep(attempt === 0 ? 0 : Math.min(1000 * attempt, 10_000), signal);
        }
      }
    },
    close: async () => {
      if (opened.size === 0) return;
      const cleanup = await context.openServersForCleanup();
      const failures: unknown[] = [];
      for (const [name, { server, address }] of opened) {
        try {
          await cleanup.deleteFirewallRule(group, server, name);
          opened.delete(name);
          notes.remove(name);
          context.onNote(`closed the firewall of ${server} again`);
        } catch (cause) {
          failures.push(
            new KnownError("database/firewall", `rule ${name} of ${server} still lets ${address} in: it could not be removed`, {
              cause,
              hint: "run `passwordless-pg firewall apply`, or remove that rule by hand",
            }),
          );
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** Rules that earlier runs left behind: ours at once, a stranger's only when it is old. */
export function findLeftovers(
  rules: readonly FirewallRule[],
  context: Pick<DoorContext, "callerId" | "owner" | "clock">,
  inUse: ReadonlySet<string>,
): string[] {
  return rules
    .map(({ name }) => name)
    .filter((name) => {
      const match = /^passwordless-pg-[0-9a-f]{8}-([0-9a-z]{1,9})(?:-[0-9a-f]{6})?$/.exec(name);
      if (!match?.[1] || inUse.has(name)) return false;
      const openedAt = Number.parseInt(match[1], 36) * 60_000;
      return name.startsWith(mark(context)) || context.clock.now() - openedAt > strangerGraceMs;
    });
}

function mark({ callerId, owner }: Pick<DoorContext, "callerId" | "owner">): string {
  return `${prefix}${createHash("sha256").update(`${owner}\n${callerId}`).digest("hex").slice(0, 8)}`;
}
