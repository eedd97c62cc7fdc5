import { isInTransition, type PostgresServer, type PostgresServerChange, type PostgresServers } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { refusal } from "../engine/apply.ts";
import { type Blocked, type Change, type Difference, defineStep, type Step } from "../engine/step.ts";
import { type Adoption, adoptionTagValue, isUnadopted } from "./adoption.ts";

export interface DesiredServer {
  readonly name: string;
  readonly location: string;
  readonly version: string;
  readonly sku: string;
  readonly storageGb: number;
  readonly tenantId: string;
  /** Fields the file leaves open: their values count for a new server, one that is there keeps its own. */
  readonly unspecified: readonly ("location" | "version" | "sku" | "storageGb")[];
  readonly tags: Record<string, string>;
  /** Is its name free? Asked before it is created. */
  readonly precheck?: () => Promise<Blocked | undefined>;
  /** What this project notes on a server that is somebody else's. */
  readonly adoption: Adoption;
}

/** The flexible server: Entra authentication on, password authentication off. Version, region and shrinking storage are never forced. */
export const postgresServer = (desired: DesiredServer, servers: PostgresServers, needs: { readonly group: Step<ResourceGroup> }) =>
  defineStep({
    name: "flexible server",
    needs,
    isBillable: true,
    ...(desired.precheck && { precheck: desired.precheck }),
    // One in the making has no host yet: to what needs it, it is not there. `apply` waits for it.
    read: async ({ group }) => {
      const server = await servers.get(group.name, desired.name);
      return server?.host ? server : undefined;
    },
    plan: (observed) => planServer(observed, desired),
    apply: async (planned, { group }) => {
      // A killed run's operation may still be at work, and another run may have made the server since the plan.
      const observed = await servers.settled(group.name, desired.name);
      if (!observed) return void (await servers.create(group.name, desired.name, desired));
      // What was planned counts: the caller may have left something out. Only a server that was not there then is planned now.
      const change = planned.kind === "create" ? planServer(observed, desired) : planned;
      if (change.kind === "blocked") throw refusal("flexible server", change);
      if (observed.state === "Stopped") await servers.start(group.name, desired.name);
      const differences = change.kind === "update" ? change.differences : [];
      const isNoted = !differences.some(({ field }) => field === tagField(desired));
      // As late as can be: what is absent now is what this project is going to make.
      const note = isNoted ? undefined : await adoptionTagValue(desired.adoption, group.name, observed, servers);
      const wanted = {
        ...changeOf(differences, desired),
        ...(note === undefined ? {} : { tags: { ...observed.tags, [desired.adoption.tag]: note } }),
      };
      if (Object.keys(wanted).length > 0) await servers.update(group.name, desired.name, wanted);
    },
  });

function planServer(observed: PostgresServer | undefined, wanted: DesiredServer): Change {
  if (!observed) return { kind: "create", reason: `${wanted.name}: PostgreSQL ${wanted.version} on ${wanted.sku} in ${wanted.location}` };
  const desired = { ...wanted, ...Object.fromEntries(wanted.unspecified.map((field) => [field, observed[field]])) };
  if (observed.location !== desired.location) {
    return blocked(
      `it is in ${observed.location}, the project file says ${desired.location}`,
      `set "location": "${observed.location}", or another server name`,
    );
  }
  if (observed.version !== desired.version) {
    return blocked(
      `it runs PostgreSQL ${observed.version}, the project file says ${desired.version}`,
      "a major upgrade is yours to start; set the version that is there",
    );
  }
  if (observed.storageGb > desired.storageGb) {
    return blocked(
      `it has ${observed.storageGb} GB, storage cannot shrink to ${desired.storageGb} GB`,
      `set "storageGb": ${observed.storageGb}`,
    );
  }
  if (!observed.publicNetworkAccess) {
    return blocked(
      "its public network access is disabled",
      "servers in a virtual network are not supported yet; enable public access for it",
    );
  }
  const differences: Difference[] = [];
  const differ = (field: string, is: unknown, wanted: unknown): void => {
    if (is !== wanted) differences.push({ field, observed: is, desired: wanted });
  };
  // While it is updated it runs; its new values show already.
  const isOnItsWay = isInTransition(observed) && observed.state !== "Updating";
  if (observed.state === "Stopped" || isOnItsWay) differ("state", observed.state, "Ready");
  differ("activeDirectoryAuth", observed.entraAuth ? "Enabled" : "Disabled", "Enabled");
  differ("passwordAuth", observed.passwordAuth ? "Enabled" : "Disabled", "Disabled");
  differ("sku", observed.sku, desired.sku);
  differ("storageGb", observed.storageGb, desired.storageGb);
  if (isUnadopted(desired.adoption, observed)) differ(tagField(desired), undefined, "this project works here");
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

const tagField = ({ adoption }: DesiredServer): string => `tag ${adoption.tag}`;

function changeOf(differences: readonly Difference[], desired: DesiredServer): PostgresServerChange {
  const fields = new Set(differences.map(({ field }) => field));
  return {
    ...(fields.has("activeDirectoryAuth") ? { entraAuth: true, tenantId: desired.tenantId } : {}),
    ...(fields.has("passwordAuth") ? { passwordAuth: false } : {}),
    ...(fields.has("sku") ? { sku: desired.sku } : {}),
    ...(fields.has("storageGb") ? { storageGb: desired.storageGb } : {}),
  };
}

function blocked(reason: string, hint: string): Change {
  return { kind: "blocked", reason, hint };
}
