import { escapeIdentifier, escapeLiteral } from "pg";
import { armFront } from "../../http/arm-error.ts";
import { empty, json, type Route, route } from "../../http/router.ts";
import type { Operation } from "../../operations.ts";
import type { Platform } from "../../platform.ts";
import { dropAdministratorRole, type Fleet, putAdministratorRole } from "./fleet.ts";
import type { Administrator, Database, FirewallRule, FlexibleServer } from "./model.ts";
import { applyParameter, type Parameter } from "./parameters.ts";
import { forget, subscriptionOf, type Tables } from "./servers.ts";
import { locationDisplayName } from "./sizes.ts";
import { acceptedBody, pollBody } from "./wire.ts";

/**
 * Every kind of write: Azure's name of it (recorded, but restart's), how long it really took and its `Retry-After` (recorded).
 * What each needs is in its payload, so that it can be done again after a `kill -9`.
 */
const KINDS = {
  "server-create": { name: "UpsertServerManagementOperationV2", recordedMs: 240_000, retryAfterSeconds: 60, polls: 3 },
  "server-update": { name: "UpsertServerManagementOperationV2", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "server-delete": { name: "DropServerManagementOperation", recordedMs: 45_000, retryAfterSeconds: 15, polls: 1 },
  "server-start": { name: "StartServerManagementOperation", recordedMs: 120_000, retryAfterSeconds: 60, polls: 1 },
  "server-stop": { name: "StopServerManagementOperation", recordedMs: 180_000, retryAfterSeconds: 60, polls: 1 },
  "server-restart": { name: "RestartServerManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "administrator-put": { name: "UpsertAadAuthPrincipalManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "administrator-delete": { name: "DropAadAuthPrincipalManagementOperation", recordedMs: 29_000, retryAfterSeconds: 30, polls: 1 },
  "firewall-put": { name: "UpsertServerFirewallRulesManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "firewall-delete": { name: "DropServerFirewallRulesManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "configuration-set": { name: "UpdateConfigurationManagementOperation", recordedMs: 11_000, retryAfterSeconds: 10, polls: 1 },
  "database-put": { name: "UpsertServerDatabaseManagementOperation", recordedMs: 10_500, retryAfterSeconds: 10, polls: 1 },
  "database-delete": { name: "DropServerDatabaseManagementOperation", recordedMs: 10_500, retryAfterSeconds: 10, polls: 1 },
} as const;

/** What each kind of write carries besides the server. */
interface Payloads {
  "server-create": Record<never, never>;
  "server-update": { readonly next: FlexibleServer; readonly needsRestart: boolean };
  "server-delete": Record<never, never>;
  "server-start": Record<never, never>;
  "server-stop": { readonly before: string };
  "server-restart": { readonly before: string };
  "administrator-put": { readonly administrator: Administrator };
  "administrator-delete": { readonly administrator: Administrator };
  "firewall-put": { readonly rule: FirewallRule };
  "firewall-delete": { readonly ruleId: string };
  "configuration-set": { readonly parameter: Parameter; readonly value?: string };
  "database-put": { readonly database: Database };
  "database-delete": { readonly database: Database };
}

type Kind = keyof typeof KINDS & keyof Payloads;

/** The writes of this provider: accept one, and have its work known to the engine. */
export interface Writes {
  /** Begins a write and gives Azure's 202. `resourceId` is the server's or the child's. */
  accept<K extends Kind>(kind: K, server: FlexibleServer, resourceId: string, payload: Payloads[K], apiVersion: string): Response;
  /** Routes that answer polls. */
  readonly routes: readonly Route[];
}

export function createWrites(platform: Platform, tables: Tables, fleet: Fleet): Writes {
  const { operations } = platform;
  defineKinds(platform, tables, fleet);

  const pollUrl = (kind: string, operation: Operation, subscription: string, apiVersion: string): string => {
    const base = `${platform.endpoints.resourceManager}/subscriptions/${subscription}/providers/Microsoft.DBforPostgreSQL/locations`;
    const url = `${base}/${encodeURIComponent(operation.location)}/${kind}/${operation.id}?api-version=${apiVersion}`;
    return apiVersion >= "2024" ? operations.sign(url) : url;
  };

  return {
    accept: (kind, server, resourceId, payload, apiVersion) => {
      // Recorded: the polling URLs of a server's DELETE, and of nothing else, hold the display name.
      const location = kind === "server-delete" ? locationDisplayName(server.location) : server.location;
      const operation = operations.accept({
        ...KINDS[kind],
        kind: `postgres/${kind}`,
        resourceId,
        location,
        payload: { serverId: server.id, ...payload },
      });
      const subscription = subscriptionOf(server);
      return json(202, acceptedBody(operation), {
        "azure-asyncoperation": pollUrl("azureAsyncOperation", operation, subscription, apiVersion),
        location: pollUrl("operationResults", operation, subscription, apiVersion),
        "retry-after": `${operation.retryAfterSeconds}`,
        "x-ms-request-id": operation.id,
        ...NO_CACHE,
      });
    },
    routes: pollRoutes(platform),
  };
}

const NO_CACHE = { "cache-control": "no-cache", pragma: "no-cache", expires: "-1" };

function pollRoutes({ operations }: Platform): readonly Route[] {
  const LOCATIONS = "/subscriptions/{subscription}/providers/Microsoft.DBforPostgreSQL/locations/{location}";
  const requireSigned = (url: URL, apiVersion: string): void => {
    if (apiVersion >= "2024" && !operations.isSigned(url)) {
      throw armFront(
        403,
        "AuthorizationFailed",
        "The polling URL is not the one the operation was given: its signature is missing or wrong.",
      ); // text inferred
    }
  };
  return [
    route("GET", `${LOCATIONS}/azureAsyncOperation/{operation}`, "recorded", ({ url, apiVersion, params }) => {
      requireSigned(url, apiVersion);
      const operation = operations.poll(params.operation ?? "");
      if (!operation) throw armFront(404, "ResourceNotFound", `The operation '${params.operation}' was not found.`);
      return json(200, pollBody(operation), { "retry-after": `${operation.retryAfterSeconds}`, ...NO_CACHE });
    }),
    route("GET", `${LOCATIONS}/operationResults/{operation}`, "recorded", ({ url, apiVersion, params }) => {
      requireSigned(url, apiVersion);
      const operation = operations.poll(params.operation ?? "");
      if (!operation) throw armFront(404, "ResourceNotFound", `The operation '${params.operation}' was not found.`);
      if (operation.status === "InProgress") {
        return json(202, acceptedBody(operation), { location: url.href, "retry-after": `${operation.retryAfterSeconds}` }); // inferred
      }
      if (operation.error) throw armFront(400, operation.error.code, operation.error.message); // inferred
      if (!/-(start|stop|restart)$/.test(operation.kind)) return empty();
      return json(200, { properties: {}, name: operation.resourceId.split("/").at(-1), type: "PostgreSQL" });
    }),
  ];
}

function defineKinds(platform: Platform, tables: Tables, fleet: Fleet): void {
  const { servers, administrators, rules, databases } = tables;
  const set = (serverId: string, change: Partial<FlexibleServer>): void => {
    const server = servers.get(serverId);
    if (server) servers.set(serverId, { ...server, ...change });
  };
  const define = <K extends Kind>(
    kind: K,
    does: {
      work?(payload: Payloads[K] & { readonly serverId: string }): Promise<unknown>;
      finish?(payload: Payloads[K] & { readonly serverId: string }): void;
      fail?(payload: Payloads[K] & { readonly serverId: string }): void;
    },
  ): void => {
    const payloadOf = (operation: Operation) => operation.payload as Payloads[K] & { readonly serverId: string };
    platform.operations.define(`postgres/${kind}`, {
      work: async (operation) => does.work?.(payloadOf(operation)),
      finish: (operation) => does.finish?.(payloadOf(operation)),
      fail: (operation) => does.fail?.(payloadOf(operation)),
    });
  };
  const requireMachine = (serverId: string) => {
    const machine = fleet.machine(serverId);
    if (machine) return machine;
    throw armFront(409, "ServerIsNotReady", `The server '${servers.get(serverId)?.name}' is not started.`); // text inferred
  };

  define("server-create", {
    work: async ({ serverId }) => {
      const machine = await fleet.launch(serverId);
      await putPasswordAdministrator(machine, servers.get(serverId));
    },
    finish: ({ serverId }) => set(serverId, { state: "Ready" }),
    fail: ({ serverId }) => {
      const server = servers.get(serverId);
      forget(tables, serverId);
      if (server) fleet.destroy(server).catch((error) => platform.log(`postgres ${server.name}: ${error}`));
    },
  });
  define("server-update", {
    work: async ({ serverId, next, needsRestart }) => {
      if (!fleet.machine(serverId)) return;
      if (needsRestart) await fleet.restart(serverId);
      await putPasswordAdministrator(requireMachine(serverId), next);
    },
    finish: ({ serverId, next }) => set(serverId, next),
    fail: ({ serverId, next }) => set(serverId, { state: next.state }),
  });
  define("server-delete", {
    work: async ({ serverId }) => {
      const server = servers.get(serverId);
      if (server) await fleet.destroy(server);
    },
    finish: ({ serverId }) => forget(tables, serverId),
    fail: ({ serverId }) => set(serverId, { state: "Inaccessible" }),
  });
  define("server-start", {
    work: async ({ serverId }) => {
      await fleet.launch(serverId); // a machine is no result that can be kept
    },
    finish: ({ serverId }) => set(serverId, { state: "Ready" }),
    fail: ({ serverId }) => set(serverId, { state: "Stopped" }),
  });
  define("server-stop", {
    work: async ({ serverId, before }) => {
      requireStarted(servers.get(serverId), before);
      await fleet.halt(serverId);
    },
    finish: ({ serverId }) => set(serverId, { state: "Stopped" }),
    fail: ({ serverId, before }) => set(serverId, { state: before as FlexibleServer["state"] }),
  });
  define("server-restart", {
    work: async ({ serverId, before }) => {
      requireStarted(servers.get(serverId), before);
      await fleet.restart(serverId);
    },
    finish: ({ serverId }) => set(serverId, { state: "Ready" }),
    fail: ({ serverId, before }) => set(serverId, { state: before as FlexibleServer["state"] }),
  });
  define("administrator-put", {
    work: async ({ serverId, administrator }) => {
      try {
        await putAdministratorRole(requireMachine(serverId), administrator);
      } catch (error) {
        if ((error as { severity?: string }).severity !== "ERROR") throw error;
        const reason = "0LP01: An unexpected error occurred while trying to validate user.";
        throw armFront(400, "AadAuthOperationFailed", `Failed to create Azure AD Principal. Reason - ${reason}`); // code inferred
      }
    },
    finish: ({ administrator }) => administrators.set(administrator.id, administrator),
  });
  define("administrator-delete", {
    work: async ({ serverId, administrator }) => dropAdministratorRole(requireMachine(serverId), administrator.principalName),
    finish: ({ administrator }) => void administrators.delete(administrator.id),
  });
  define("firewall-put", { finish: ({ rule }) => rules.set(rule.id, rule) });
  define("firewall-delete", { finish: ({ ruleId }) => void rules.delete(ruleId) });
  define("configuration-set", {
    work: async ({ serverId, parameter, value }) => applyParameter(parameter, value, requireMachine(serverId)),
    finish: ({ serverId, parameter, value }) => {
      const { [parameter.name]: _, ...others } = servers.get(serverId)?.parameters ?? {};
      set(serverId, { parameters: value === undefined ? others : { ...others, [parameter.name]: value } });
    },
  });
  define("database-put", {
    work: async ({ serverId, database }) => {
      const machine = requireMachine(serverId);
      const known = await machine.administer(`SELECT FROM pg_database WHERE datname = ${escapeLiteral(database.name)}`);
      if (known.length > 0) return;
      const owner = "OWNER azure_pg_admin";
      await machine.query("postgres", `CREATE DATABASE ${escapeIdentifier(database.name)} ${owner}`);
    },
    finish: ({ database }) => databases.set(database.id, database),
  });
  define("database-delete", {
    work: async ({ serverId, database }) =>
      requireMachine(serverId).query("postgres", `DROP DATABASE IF EXISTS ${escapeIdentifier(database.name)} WITH (FORCE)`),
    finish: ({ database }) => void databases.delete(database.id),
  });
}

function requireStarted(server: FlexibleServer | undefined, before: string): void {
  if (before === "Ready") return;
  throw armFront(
    409,
    "ServerIsNotReady",
    `Restart or Stop Server can only be performed on Started servers. Sever Name = ${server?.name}, Current Server State = ${before}`,
  );
}

/** The login with a password, where the server has one: a member of `azure_pg_admin` without an Entra label. */
async function putPasswordAdministrator(
  machine: { administer(sql: string): Promise<readonly unknown[]> },
  server: FlexibleServer | undefined,
): Promise<void> {
  const { administratorLogin, administratorVerifier } = server ?? {};
  if (!administratorLogin || !administratorVerifier) return;
  const role = escapeIdentifier(administratorLogin);
  const known = await machine.administer(`SELECT FROM pg_authid WHERE rolname = ${escapeLiteral(administratorLogin)}`);
  await machine.administer(
    [
      ...(known.length === 0 ? [`CREATE ROLE ${role} LOGIN CREATEROLE CREATEDB`] : []),
      `ALTER ROLE ${role} PASSWORD ${escapeLiteral(administratorVerifier)}`,
      `GRANT azure_pg_admin TO ${role} WITH ADMIN OPTION`,
    ].join(";"),
  );
}
