import { createHash, randomBytes } from "node:crypto";
import { pause } from "../base/cancellation.ts";
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
  readonly journal: CleanupJournal;
  onNote(note: string): void;
}

/** What this run has opened, by the rule's name. */
type Openings = Map<string, Omit<TemporaryRule, "name">>;

export function createFirewallAccess(context: FirewallAccessContext): FirewallAccess {
  const { clock, journal } = context;
  const opened: Openings = new Map();
  let adopted: Set<string> | undefined;
  const adoptOnce = (): Set<string> => {
    adopted ??= adopt(context, opened);
    return adopted;
  };
  let last: Promise<void> = Promise.resolve();
  /** One opening at a time: two refusals of one address need one rule. */
  const openInTurn = (server: string, address: string, tries: number): Promise<void> => {
    last = last.catch(() => {}).then(() => open(context, opened, adoptOnce(), { server, address, tries }));
    return last;
  };
  return {
    get temporaryRules() {
      return new Set(opened.keys());
    },
    leftoversAmong: (rules) =>
      findLeftovers(rules, {
        now: clock.now(),
        inUse: new Set([...opened.keys(), ...journal.held()]),
        abandoned: new Set(journal.abandoned().map(({ name }) => name)),
      }),
    withAccess: (server, work) => {
      adoptOnce();
      return withAccess(context, server, work, openInTurn);
    },
    revoke: () => revoke(context, opened),
  };
}

/**
 * This run gives back what a killed one has borrowed: such a rule may be there, in the making, or never have been asked for. Azure may not show
 * it yet, but takes a DELETE only when the PUT has ended (inferred). Answers with the names.
 */
function adopt(context: FirewallAccessContext, opened: Openings): Set<string> {
  const left = context.journal.abandoned().filter(({ name }) => name.startsWith(mark(context)));
  for (const { name, server, address } of left) opened.set(name, { server, address });
  return new Set(left.map(({ name }) => name));
}

interface Refusal {
  readonly server: string;
  readonly address: string;
  /** Made so far. */
  readonly tries: number;
}

async function open(context: FirewallAccessContext, opened: Openings, adopted: Set<string>, refusal: Refusal): Promise<void> {
  const { servers, group, clock, journal } = context;
  const { server, address } = refusal;
  const [known] = [...opened].find(([, entry]) => entry.server === server && entry.address === address) ?? [];
  if (known !== undefined) {
    const mayBeAbsent = adopted.delete(known) || (await isSwept(context, known, refusal));
    if (mayBeAbsent) await servers.putFirewallRule(group, server, { name: known, start: address, end: address });
    return;
  }
  // The random part keeps two runs of one caller apart.
  const name = `${mark(context)}-${Math.floor(clock.now() / 60_000).toString(36)}-${randomBytes(3).toString("hex")}`;
  // Both before the call: a killed or cancelled write may have been accepted.
  opened.set(name, { server, address });
  journal.add({ name, server, address });
  context.onNote(`opening the firewall of ${server} for ${address} while this command works`);
  await servers.putFirewallRule(group, server, { name, start: address, end: address });
}

/** Somebody may have taken it for a leftover: it is looked for now and then. */
async function isSwept({ servers, group }: FirewallAccessContext, rule: string, { server, tries }: Refusal): Promise<boolean> {
  if (tries === 1 || (tries - 1) % reopenEvery !== 0) return false;
  return !(await servers.listFirewallRules(group, server)).some(({ name }) => name === rule);
}

async function withAccess<T>(
  { group, clock, signal }: FirewallAccessContext,
  server: Guarded,
  work: () => Promise<T>,
  openInTurn: (server: string, address: string, tries: number) => Promise<void>,
): Promise<T> {
  const deadline = clock.now() + effectDeadlineMs;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const address = refusedAddress(error);
      if (address === undefined) throw isUnanswered(error) ? unanswered(error, group, server) : error;
      if (clock.now() > deadline) throw stillRefused(error, server, address);
      await openInTurn(server.name, address, tries);
      await pause(clock, signal, Math.min(1000 * (tries - 1), 10_000));
    }
  }
}

function stillRefused(cause: unknown, { name }: Guarded, address: string): KnownError {
  const what = `${name} still refuses ${address} five minutes after a firewall rule let it in`;
  return new KnownError("database/firewall", what, { cause, hint: hints.stillRefused });
}

async function revoke(context: FirewallAccessContext, opened: Openings): Promise<void> {
  if (opened.size === 0) return;
  const servers = await context.openServersForCleanup();
  const failures: unknown[] = [];
  for (const [name, { server, address }] of opened) {
    try {
      await servers.deleteFirewallRule(context.group, server, name);
      opened.delete(name);
      context.journal.remove(name);
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
