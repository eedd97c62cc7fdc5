import type {
  AdministratorMicrosoftEntra,
  Configuration,
  Database as WireDatabase,
  FirewallRule as WireFirewallRule,
} from "@azure/arm-postgresql-flexible";
import type { Arm } from "./arm.ts";
import { absentIsFine, type Begin, collect, type Sdk, type ServerWrites } from "./server-writes.ts";

export interface Administrator {
  readonly objectId: string;
  /** Principal name, which is also the role name at login. */
  readonly name: string;
  readonly type: "User" | "Group" | "ServicePrincipal" | "Unknown";
  readonly tenantId: string;
}

export interface FirewallRule {
  readonly name: string;
  readonly start: string;
  readonly end: string;
}

export interface Database {
  readonly id: string;
  readonly name: string;
  readonly charset: string;
  readonly collation: string;
}

/** A server parameter; all values are texts. */
interface ServerParameter {
  readonly name: string;
  readonly value: string;
  readonly defaultValue: string;
  readonly isPendingRestart: boolean;
  readonly allowedValues: string;
}

/** What belongs to a flexible server. A delete of what is absent is done. */
export interface ServerChildren {
  listAdministrators(group: string, server: string): Promise<Administrator[]>;
  putAdministrator(group: string, server: string, administrator: Administrator): Promise<void>;
  deleteAdministrator(group: string, server: string, objectId: string): Promise<void>;

  listFirewallRules(group: string, server: string): Promise<FirewallRule[]>;
  putFirewallRule(group: string, server: string, rule: FirewallRule): Promise<void>;
  deleteFirewallRule(group: string, server: string, name: string): Promise<void>;

  getDatabase(group: string, server: string, name: string): Promise<Database | undefined>;
  createDatabase(group: string, server: string, name: string): Promise<Database>;
  deleteDatabase(group: string, server: string, name: string): Promise<void>;

  /** `undefined` where Azure hides the parameter (`pgbouncer.*` on Burstable). */
  getParameter(group: string, server: string, name: string): Promise<ServerParameter | undefined>;
  setParameter(group: string, server: string, name: string, value: string): Promise<ServerParameter>;
}

const DEADLINE_MS = 10 * 60_000;

const administratorTypes = ["User", "Group", "ServicePrincipal"] as const;

function toAdministrator(administrator: AdministratorMicrosoftEntra): Administrator {
  const { objectId, principalName, principalType, tenantId } = administrator;
  return {
    objectId: objectId ?? "",
    name: principalName ?? "",
    type: administratorTypes.find((type) => type.toLowerCase() === principalType?.toLowerCase()) ?? "Unknown",
    tenantId: tenantId ?? "",
  };
}

const toFirewallRule = ({ name, startIpAddress, endIpAddress }: WireFirewallRule): FirewallRule => ({
  name: name ?? "",
  start: startIpAddress,
  end: endIpAddress,
});

const toDatabase = ({ id, name, charset, collation }: WireDatabase): Database => ({
  id: id ?? "",
  name: name ?? "",
  charset: charset ?? "",
  collation: collation ?? "",
});

const toParameter = ({ name, value, defaultValue, isConfigPendingRestart, allowedValues }: Configuration): ServerParameter => ({
  name: name ?? "",
  value: value ?? "",
  defaultValue: defaultValue ?? "",
  isPendingRestart: isConfigPendingRestart ?? false,
  allowedValues: allowedValues ?? "",
});

/** `@azure/arm-postgresql-flexible` 9, api-version 2025-08-01. */
export function serverChildren(arm: Arm, { sdk, onceKnown, write }: ServerWrites): ServerChildren {
  const change = <T>(what: string, group: string, server: string, begin: Begin<T>): Promise<T> =>
    write(`${what} of the server ${server}`, [group, server], begin, DEADLINE_MS);
  const remove = (what: string, group: string, server: string, begin: Begin<unknown>): Promise<void> =>
    absentIsFine(change(what, group, server, begin));
  const list = <From, To>(
    [kind, convert]: readonly [string, (item: From) => To],
    group: string,
    server: string,
    pages: (client: Sdk) => AsyncIterable<From>,
  ): Promise<To[]> =>
    onceKnown([group, server], () =>
      arm.call(`list the ${kind} of the server ${server}`, async () => collect(pages(await sdk()), convert)),
    );

  return {
    listAdministrators: (group, server) =>
      list(["administrators", toAdministrator], group, server, (client) => client.administratorsMicrosoftEntra.listByServer(group, server)),
    putAdministrator: async (group, server, { objectId, name, type, tenantId }) => {
      const wanted = { principalName: name, principalType: type, tenantId };
      await change(`put the administrator ${name}`, group, server, (client) =>
        client.administratorsMicrosoftEntra.beginCreateOrUpdate(group, server, objectId, wanted),
      );
    },
    deleteAdministrator: (group, server, objectId) =>
      remove(`remove the administrator ${objectId}`, group, server, (client) =>
        client.administratorsMicrosoftEntra.beginDelete(group, server, objectId),
      ),

    listFirewallRules: (group, server) =>
      list(["firewall rules", toFirewallRule], group, server, (client) => client.firewallRules.listByServer(group, server)),
    putFirewallRule: async (group, server, { name, start, end }) => {
      const wanted = { startIpAddress: start, endIpAddress: end };
      await change(`put the firewall rule ${name}`, group, server, (client) =>
        client.firewallRules.beginCreateOrUpdate(group, server, name, wanted),
      );
    },
    deleteFirewallRule: (group, server, name) =>
      remove(`remove the firewall rule ${name}`, group, server, (client) => client.firewallRules.beginDelete(group, server, name)),

    getDatabase: (group, server, name) =>
      arm.orUndefined(`read the database ${name} of the server ${server}`, async () =>
        toDatabase(await (await sdk()).databases.get(group, server, name)),
      ),
    createDatabase: async (group, server, name) =>
      toDatabase(
        await change(`create the database ${name}`, group, server, (client) =>
          client.databases.beginCreate(group, server, name, { charset: "UTF8", collation: "en_US.utf8" }),
        ),
      ),
    deleteDatabase: (group, server, name) =>
      remove(`delete the database ${name}`, group, server, (client) => client.databases.beginDelete(group, server, name)),

    getParameter: (group, server, name) =>
      arm.orUndefined(`read the parameter ${name} of the server ${server}`, async () =>
        toParameter(await (await sdk()).configurations.get(group, server, name)),
      ),
    setParameter: async (group, server, name, value) =>
      toParameter(
        await change(`set the parameter ${name}`, group, server, (client) =>
          client.configurations.beginUpdate(group, server, name, { value, source: "user-override" }),
        ),
      ),
  };
}
