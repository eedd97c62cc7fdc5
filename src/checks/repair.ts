import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import { withoutFields } from "../engine/apply.ts";
import { observedIn } from "../engine/observed.ts";
import type { Plan, PlannedStep } from "../engine/plan.ts";
import type { Attempt } from "../engine/report.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import { tlsParameter } from "./network.ts";
import { isRegistered, providers } from "./subscription.ts";

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

/** Fields that cost. */
const sizes = ["sku", "storageGb"];

/** Who may sign in to a server: on somebody else's it is `init`'s to change, which warns of whom it locks out. */
const signIn = ["passwordAuth", "activeDirectoryAuth"];

/**
 * The part of a plan that `doctor --fix` may do unasked: nothing that costs is created, no size is changed, nothing blocked is tried, and
 * nobody is locked out of a server that is not the project's own. What needs something that is left out is left out too.
 */
export function safePart(
  { steps }: Plan,
  { setup, graph }: { readonly setup: Pick<Setup, "owner">; readonly graph: { readonly server: Step<PostgresServer> } },
): Plan {
  const server = observedIn({ steps }, graph.server);
  const isServerForeign = server !== undefined && isForeign(server, setup.owner);
  const left = new Set<AnyStep>();
  const kept: PlannedStep[] = [];
  for (const entry of steps) {
    const { step, change } = entry;
    const needsLeft = Object.values(step.needs as Record<string, AnyStep>).some((need) => left.has(need));
    const isNew = change.kind === "create" && step.isBillable === true && !entry.isUnread;
    const isStrangers = step === graph.server && isServerForeign;
    if (needsLeft || isNew || change.kind === "blocked" || (isStrangers && !server?.entraAuth)) {
      left.add(step);
      continue;
    }
    const leaves = isStrangers ? [...sizes, ...signIn] : sizes;
    kept.push({ ...entry, change: withoutFields(change, leaves), leaves });
  }
  return { steps: kept };
}

const isForeign = ({ tags }: PostgresServer, owner: string): boolean => tags[ownerTag] !== owner;
