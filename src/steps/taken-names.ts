import { KnownError } from "../base/errors.ts";
import { parseResourceId } from "../base/resource-id.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { NameAvailability } from "../cloud/postgres-servers.ts";
import type { Blocked } from "../engine/step.ts";
import type { Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";

type Context = { readonly setup: Setup; readonly cloud: Cloud };

/** A name that all of Azure shares, as the project file has it. */
interface SharedName {
  readonly what: string;
  readonly type: string;
  readonly name: string;
  /** Where it stands in the project file. */
  readonly field: string;
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
    check: () => cloud.postgresServers.checkName(setup.location, name),
    isHere: async () => (await cloud.postgresServers.get(setup.resourceGroup, name)) !== undefined,
  };
}

export function webAppName({ cloud }: Pick<Context, "cloud">, { app, address }: SiteSetup): SharedName {
  return {
    what: "web app",
    type: "Microsoft.Web/sites",
    name: address.app,
    field: `"apps.${app}.name"`,
    check: () => cloud.sites.checkName(address.app),
    isHere: async () => (await cloud.sites.at(address).get()) !== undefined,
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

/** The precheck of a step that makes such a thing: a taken name blocks it, before anything is made. Throws on Ctrl-C and bugs. */
export function refuseTakenName(context: Context, shared: SharedName): () => Promise<Blocked | undefined> {
  return async () => {
    try {
      const taken = await takenBy(context, shared);
      return taken && { kind: "blocked", code: "azure/name-taken", reason: taken.detail, hint: taken.hint };
    } catch (error) {
      if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
      return undefined;
    }
  };
}
