import { KnownError } from "../base/errors.ts";
import { parseResourceId } from "../base/resource-id.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { NameAvailability } from "../cloud/postgres-servers.ts";
import { type Plan, type Refusal, refused } from "../engine/plan.ts";
import type { Setup, SiteSetup } from "../project/setup.ts";

type Context = { readonly setup: Setup; readonly cloud: Cloud };

/** A name that all of Azure shares, as the project file has it. */
interface SharedName {
  readonly what: string;
  readonly type: string;
  readonly name: string;
  /** Where it stands in the project file. */
  readonly field: string;
  /** Its own step first, then those that would be of no use without it. */
  readonly steps: readonly string[];
  check(): Promise<NameAvailability>;
  isHere(): Promise<boolean>;
}

/** Why a name is not free. `group`: that of this subscription which holds it, when it is another one than the project's. */
export interface Taken {
  readonly detail: string;
  readonly hint: string;
  readonly group?: string;
}

export function serverName({ setup, cloud }: Context): SharedName {
  const { name } = setup.server;
  return {
    what: "flexible server",
    type: "Microsoft.DBforPostgreSQL/flexibleServers",
    name,
    field: '"server.name"',
    steps: ["flexible server"],
    check: () => cloud.postgresServers.checkName(setup.location, name),
    isHere: async () => (await cloud.postgresServers.get(setup.resourceGroup, name)) !== undefined,
  };
}

export function webAppName({ setup, cloud }: Context, { label, address: { app: name } }: SiteSetup): SharedName {
  return {
    what: "web app",
    type: "Microsoft.Web/sites",
    name,
    field: `"apps.${label}.name"`,
    steps: [`web app ${label}`, `App Service plan ${label}`],
    check: () => cloud.webApps.checkName(name),
    isHere: async () => (await cloud.webApps.get(setup.resourceGroup, name)) !== undefined,
  };
}

/**
 * Who has the name of a resource that is not in the project's group; `undefined` when it is free, or has come into the group meanwhile.
 * One call when it is free, two or three when not.
 */
export async function takenBy({ setup, cloud }: Context, shared: SharedName): Promise<Taken | undefined> {
  const { what, type, name, field, check, isHere } = shared;
  // Whoever has rights in one group only may not be allowed to ask, but sees what is theirs.
  const answer = await check().catch((error: unknown) => {
    if (error instanceof KnownError && error.code === "azure/denied") return undefined;
    throw error;
  });
  if (answer?.isFree) return undefined;
  const found = await cloud.resourceGroups.find(type, name);
  const group = parseResourceId(found[0]?.id ?? "")?.resourceGroup;
  if (group !== undefined && group.toLowerCase() !== setup.resourceGroup.toLowerCase()) {
    const detail = `${what} ${name} is in the resource group ${group} of this subscription`;
    return { detail, hint: `set "resourceGroup": "${group}" in the project file, or choose another ${field}`, group };
  }
  if (!answer || (await isHere())) return undefined;
  return { detail: `${what} ${name}: ${answer.message ?? answer.reason ?? "taken"}`, hint: `choose another ${field} in the project file` };
}

/**
 * The plan without the promise to create what cannot be: a server or web app whose name is taken blocks, before anything is made, the group
 * that would be made for it. Asks Azure only about what the plan creates; what cannot be asked is left to the create. Throws on Ctrl-C and bugs.
 */
export async function refuseTaken(planned: Plan, context: Context): Promise<Plan> {
  const creates = new Set(
    planned.steps.filter(({ change, isUnread }) => change.kind === "create" && !isUnread).map(({ step }) => step.name),
  );
  const names = [serverName(context), ...context.setup.sites.map((app) => webAppName(context, app))];
  const asked = names.filter(({ steps: [own = ""] }) => creates.has(own));
  const found = await Promise.all(asked.map(async (shared) => ({ shared, taken: await takenBy(context, shared).catch(unknown) })));
  const refusals = new Map<string, Refusal>();
  for (const { shared, taken } of found) {
    if (!taken) continue;
    const steps = creates.has("resource group") ? ["resource group"] : shared.steps.filter((name) => creates.has(name));
    for (const step of steps) {
      const earlier = refusals.get(step);
      const reason = earlier ? `${earlier.reason}; ${taken.detail}` : taken.detail;
      refusals.set(step, { kind: "blocked", code: "azure/name-taken", reason, hint: earlier?.hint ?? taken.hint });
    }
  }
  return refused(planned, refusals);
}

function unknown(error: unknown): undefined {
  if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
  return undefined;
}
