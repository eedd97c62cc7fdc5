import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { isUnregistered } from "../cloud/arm.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { hintIn } from "../cloud/hints.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import { withoutFields } from "../engine/apply.ts";
import type { Plan, PlannedStep } from "../engine/plan.ts";
import type { Attempt } from "../engine/report.ts";
import type { AnyStep } from "../engine/step.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import { appConditions } from "./app.ts";
import { type Condition, type DoctorContext, gatherMore } from "./facts.ts";
import { roleConditions } from "./role.ts";
import { isRegistered, providers, serverConditions, tlsParameter } from "./server.ts";
import type { Check } from "./verify.ts";

/**
 * Looks at every condition along the chain; changes nothing but for the firewall (one address while it looks, given back by the caller).
 * A condition whose subject is absent or out of reach is left out: the absence has a condition of its own. Throws only on Ctrl-C and bugs.
 */
export async function doctor(context: DoctorContext): Promise<Check[]> {
  const checks = await Promise.all(conditionsOf({ ...context, cloud: context.cloud.readOnly() }).map((one) => examine(one, context)));
  return checks.filter((check) => check !== undefined);
}

/** All that can be wrong, in the order of the chain. */
export function conditionsOf(context: DoctorContext): Condition[] {
  const facts = gatherMore(context);
  return [
    ...serverConditions(context, facts),
    ...context.setup.sites.flatMap((app) => [...appConditions(context, facts, app), ...roleConditions(context, facts, app)]),
  ];
}

/**
 * What `doctor --fix` repairs beside the steps of `init`: registers resource providers, and has the project's own server refuse clear text.
 * Costs nothing and can be repeated. What Azure refuses is a failed report and keeps nothing else from being repaired.
 */
export async function repairBeside(
  { resourceGroup: group, server, owner }: Setup,
  { subscription, postgresServers }: Cloud,
  clock: Clock,
): Promise<Attempt[]> {
  const attempt = async (name: string, work: () => Promise<unknown>): Promise<Attempt> => {
    const startedAt = clock.now();
    const took = (): number => Math.round(clock.now() - startedAt);
    try {
      await work();
      return { name, outcome: "updated", ms: took() };
    } catch (error) {
      if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
      return { name, outcome: "failed", ms: took(), reason: error.message, error };
    }
  };
  const states = await Promise.all(
    providers.map(async (namespace) => ({ namespace, state: await subscription.registrationOf(namespace) })),
  );
  const missing = states.filter(({ state }) => !isRegistered(state)).map(({ namespace }) => namespace);
  const done = await Promise.all(
    missing.map((namespace) => attempt(`resource provider ${namespace}`, () => subscription.register(namespace))),
  );
  const found = await postgresServers.get(group, server.name);
  // It answers for its parameters only when it is ready. Clients of somebody else's server may still come without TLS.
  if (found?.state !== "Ready" || isForeign(found, owner)) return done;
  const parameter = await postgresServers.getParameter(group, server.name, tlsParameter);
  if (parameter?.value.toLowerCase() !== "off") return done;
  return [...done, await attempt(tlsParameter, () => postgresServers.setParameter(group, server.name, tlsParameter, "on"))];
}

async function examine(condition: Condition, context: DoctorContext): Promise<Check | undefined> {
  const { name, meaning, isRoot } = condition;
  let found: Awaited<ReturnType<Condition["look"]>>;
  try {
    found = await condition.look();
  } catch (error) {
    if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
    if (isUnregistered(error)) return undefined;
    if (!isRoot && (error.code === "azure/not-found" || error.code.startsWith("database/"))) return undefined;
    const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
    found = { ok: false, detail: `${error.message}${cause}`, ...(error.hint ? { hint: error.hint } : {}) };
  }
  if (!found) return undefined;
  const hint = hintIn(context.cloud.environment, found.hint ?? condition.hint);
  const check: Check = found.ok ? { name, ok: true, detail: found.detail } : { ...found, name, meaning, hint };
  context.onCheck?.(check);
  return check;
}

/** Fields that cost. */
const sizes = ["sku", "storageGb"];

/** Who may sign in to a server: on somebody else's it is `init`'s to change, which warns of whom it locks out. */
const signIn = ["passwordAuth", "activeDirectoryAuth"];

/**
 * The part of a plan that `doctor --fix` may do unasked: nothing that costs is created, no size is changed, nothing blocked is tried, and
 * nobody is locked out of a server that is not the project's own. What needs something that is left out is left out too.
 */
export function safePart({ steps }: Plan, { owner }: Pick<Setup, "owner">): Plan {
  const left = new Set<AnyStep>();
  const kept: PlannedStep[] = [];
  for (const entry of steps) {
    const { step, change } = entry;
    const needsLeft = Object.values(step.needs as Record<string, AnyStep>).some((need) => left.has(need));
    const isNew = change.kind === "create" && step.isBillable === true && !entry.isUnread;
    const server = step.name === "flexible server" ? (entry.observed as PostgresServer | undefined) : undefined;
    const isStrangers = server !== undefined && isForeign(server, owner);
    if (needsLeft || isNew || change.kind === "blocked" || (isStrangers && !server.entraAuth)) {
      left.add(step);
      continue;
    }
    const leaves = isStrangers ? [...sizes, ...signIn] : sizes;
    kept.push({ ...entry, change: withoutFields(change, leaves), leaves });
  }
  return { steps: kept };
}

const isForeign = ({ tags }: PostgresServer, owner: string): boolean => tags[ownerTag] !== owner;
