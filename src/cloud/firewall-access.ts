import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { isUnanswered, refusedAddress } from "./database/sql.ts";
import { hints } from "./hints.ts";
import type { PostgresServers } from "./postgres-servers.ts";
import type { FirewallRule } from "./server-children.ts";

/**
 * The caller's own way through the server's firewall. Nothing is opened while the server lets the caller in anyway;
 * when it refuses, exactly the address it saw is let in until `revoke`.
 */
export interface FirewallAccess {
  /** Runs `work`; when the firewall refuses it, opens for the refused address and runs it again until that has taken effect. */
  withAccess<T>(server: Guarded, work: () => Promise<T>): Promise<T>;
  /** Names of the rules this run has opened and not given back. */
  readonly temporaryRules: ReadonlySet<string>;
  /** Names of the rules that runs which are no more have left open; never one that this run, or another one that lives, works through. */
  leftoversAmong(rules: readonly FirewallRule[]): string[];
  /** Gives every opening back. Must run on every way out; works after Ctrl-C too. */
  revoke(): Promise<void>;
}

/** A server, and whether it can be reached from the internet at all where its firewall lets one in. */
interface Guarded {
  readonly name: string;
  readonly publicNetworkAccess?: boolean;
}

/** One address that is let in for the time of a run. */
export interface TemporaryRule {
  /** Of the firewall rule. */
  readonly name: string;
  readonly server: string;
  readonly address: string;
}

/** A memory outside of the process, for openings that a killed run could not give back. Never fails. */
export interface CleanupJournal {
  add(opening: TemporaryRule): void;
  remove(name: string): void;
  /** Of runs that are no more. */
  abandoned(): readonly TemporaryRule[];
  /** Names of those of other runs that are at work. */
  held(): readonly string[];
}

/** A rule can need up to five minutes to act after its operation has succeeded (Microsoft's firewall documentation). */
const effectDeadlineMs = 5 * 60_000;
/** While a rule takes effect, each so many refusals it is checked that it still stands. */
const reopenEvery = 5;
/**
 * So long an opening may belong to a run of another machine, which no note of this one tells of. Longer than what a run can take once it has
 * opened: a build may take 20 minutes and be tried three times, the app's start 15, its health 5, a rule's effect 5.
 */
const longestRunMs = 2 * 60 * 60_000;
const prefix = "passwordless-pg-";

interface FirewallAccessContext {
  readonly servers: PostgresServers;
  /** Adapters that still work after the run's signal was aborted, for giving back. */
  readonly openServersForCleanup: () => Promise<PostgresServers>;
  readonly group: string;
  readonly callerId: string;
  readonly owner: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly notes: CleanupJournal;
  onNote(note: string): void;
}

export function createFirewallAccess(context: FirewallAccessContext): FirewallAccess {
  const { servers, group, clock, signal, notes } = context;
  const opened = new Map<string, Omit<TemporaryRule, "name">>();
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
        // Somebody may have taken it for a leftover: look now and then, and put it again.
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
    get temporaryRules() {
      return new Set(opened.keys());
    },
    leftoversAmong: (rules) =>
      findLeftovers(rules, {
        now: clock.now(),
        inUse: new Set([...opened.keys(), ...notes.held()]),
        abandoned: new Set(notes.abandoned().map(({ name }) => name)),
      }),
    withAccess: async (server, work) => {
      adopt();
      const deadline = clock.now() + effectDeadlineMs;
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await work();
        } catch (error) {
          const address = refusedAddress(error);
          if (address === undefined) throw isUnanswered(error) ? unanswered(error, group, server) : error;
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
    revoke: async () => {
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

/**
 * Azure may drop what its firewall does not let in instead of refusing it (documentation). Then nobody says by which address it sees this machine:
 * the caller's token may hold that of another day, and strangers are not asked. So nothing is opened, and the person is told how.
 */
function unanswered(error: unknown, group: string, { name, publicNetworkAccess }: Guarded): unknown {
  // Where silence has another cause (hints.ts), the error says so already.
  if (!(error instanceof KnownError) || error.hint !== hints.databaseSilent || publicNetworkAccess === false) return error;
  const range = "--start-ip-address ADDRESS --end-ip-address ADDRESS";
  return new KnownError("database/unreachable", `${error.message}: nothing answers, the firewall may drop what this machine sends`, {
    cause: error.cause,
    hint: `let your public IPv4 address in (the portal shows it on the server's page Networking), \`az postgres flexible-server firewall-rule create -g ${group} -n ${name} --rule-name my-address ${range}\`, and run the same command again; or let this network reach port 5432`,
  });
}

/**
 * Openings of this tool that no run is going to give back: what a dead run of this machine has noted, at once; what nothing is known of (another
 * machine's, whoever's), once its name's stamp is older than a run can be. A stamp so far in the future is no run's either.
 */
export function findLeftovers(
  rules: readonly FirewallRule[],
  known: { readonly now: number; readonly inUse: ReadonlySet<string>; readonly abandoned: ReadonlySet<string> },
): string[] {
  return rules
    .map(({ name }) => name)
    .filter((name) => {
      const stamp = openingStamp(name);
      if (stamp === undefined || known.inUse.has(name)) return false;
      return known.abandoned.has(name) || Math.abs(known.now - stamp) > longestRunMs;
    });
}

/** Is it, by its name, an opening of this tool? */
export function isTemporaryRule({ name }: FirewallRule): boolean {
  return openingStamp(name) !== undefined;
}

/** When it was opened, in milliseconds since the epoch; `undefined` when the name is not an opening's. */
function openingStamp(name: string): number | undefined {
  const match = /^passwordless-pg-[0-9a-f]{8}-([0-9a-z]{1,9})(?:-[0-9a-f]{6})?$/.exec(name);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 36) * 60_000;
}

function mark({ callerId, owner }: Pick<FirewallAccessContext, "callerId" | "owner">): string {
  return `${prefix}${createHash("sha256").update(`${owner}\n${callerId}`).digest("hex").slice(0, 8)}`;
}
