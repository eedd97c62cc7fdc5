import { escapeIdentifier, escapeLiteral } from "pg";
import { armFront } from "../../http/arm-error.ts";
import { empty, json, type Route, route } from "../../http/router.ts";
import type { Operation } from "../../operations.ts";
import type { Platform } from "../../platform.ts";
import { asArmError } from "./failures.ts";
import type { Fleet } from "./fleet.ts";
import type { Administrator, Database, FirewallRule, FlexibleServer } from "./model.ts";
import { applyParameter, type Parameter } from "./parameters.ts";
import { dropAdministratorRole, putAdministratorRole, putPasswordAdministrator } from "./roles.ts";
import { forget, isSameServer, type ServerKey, serverGone, subscriptionOf, type Tables } from "./servers.ts";
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
        payload: { server: { id: server.id, ...(server.generation ? { generation: server.generation } : {}) }, ...payload },
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

/** What the work of every kind knows of its server. Operations that an older version left unfinished carry only the ID. */
interface OnServer {
  readonly server?: ServerKey;
  readonly serverId?: string;
}

function defineKinds(platform: Platform, tables: Tables, fleet: Fleet): void {
  const { servers, administrators, rules, databases } = tables;
  /** The row of the very server an operation was begun on; not that of a later one with its name. */
  const find = (key: ServerKey): FlexibleServer | undefined => {
    const server = servers.get(key.id);
    return server && isSameServer(server, key) ? server : undefined;
  };
  const set = (key: ServerKey, change: Partial<FlexibleServer>): void => {
    const server = find(key);
    if (server) servers.set(key.id, { ...server, ...change });
  };
  const requireServer = (key: ServerKey): FlexibleServer => {
    const server = find(key);
    if (!server) throw serverGone(key.id);
    return server;
  };
  const define = <K extends Kind>(
    kind: K,
    does: {
      work?(key: ServerKey, payload: Payloads[K]): Promise<unknown>;
      finish?(key: ServerKey, payload: Payloads[K]): void;
      fail?(key: ServerKey, payload: Payloads[K]): void;
    },
  ): void => {
    const payloadOf = (operation: Operation) => operation.payload as Payloads[K] & OnServer;
    const keyOf = (operation: Operation): ServerKey => {
      const { server, serverId = "" } = payloadOf(operation);
      return server ?? { id: serverId };
    };
    platform.operations.define(`postgres/${kind}`, {
      work: async (operation) => {
        try {
          return await does.work?.(keyOf(operation), payloadOf(operation));
        } catch (error) {
          throw asArmError(platform, `postgres ${keyOf(operation).id.split("/").at(-1)}: ${kind}`, error);
        }
      },
      finish: (operation) => does.finish?.(keyOf(operation), payloadOf(operation)),
      fail: (operation) => does.fail?.(keyOf(operation), payloadOf(operation)),
    });
  };
  /** Waits for a start that is going on: after a `kill -9` the server and what was asked of it are taken up together. */
  const requireMachine = async (key: ServerKey) => {
    requireServer(key);
    await fleet.settled(key);
    const machine = fleet.machine(key);
    if (machine) return machine;
    throw armFront(409, "ServerIsNotReady", `The server '${find(key)?.name}' is not started.`); // text inferred
  };
  /** Children of a server that is gone are not written back. */
  const whileThere =
    <P>(change: (key: ServerKey, payload: P) => void) =>
    (key: ServerKey, payload: P): void => {
      if (find(key)) change(key, payload);
    };
  /** A server that does not run is not Ready, whatever it was before: its address may be somebody else's by now. */
  const setBack = (key: ServerKey, before: string): void => {
    const isDown = before === "Ready" && !fleet.machine(key);
    set(key, isDown ? { state: "Stopped", isWaiting: true } : { state: before as FlexibleServer["state"] });
  };
  const destroy = async (key: ServerKey): Promise<void> => {
    const server = find(key);
    if (server) await fleet.destroy(server);
  };

  define("server-create", {
    work: async (key) => {
      try {
        await putPasswordAdministrator(await fleet.launch(key), find(key));
      } catch (error) {
        await destroy(key).catch((left) => platform.log(`postgres ${key.id}: ${left}`)); // what failed first is told
        throw error;
      }
    },
    finish: (key) => set(key, { state: "Ready" }),
    fail: (key) => {
      const server = find(key);
      if (!server) return;
      forget(tables, key.id);
      fleet.destroy(server).catch((error) => platform.log(`postgres ${server.name}: ${error}`));
    },
  });
  define("server-update", {
    work: async (key, { next, needsRestart }) => {
      requireServer(key);
      await fleet.settled(key);
      if (!fleet.machine(key)) return;
      if (needsRestart) await fleet.restart(key);
      await putPasswordAdministrator(await requireMachine(key), next);
    },
    finish: (key, { next: { address: _, ...next } }) => set(key, next), // the address may have changed meanwhile
    fail: (key, { next }) => setBack(key, next.state),
  });
  define("server-delete", {
    work: destroy,
    finish: (key) => {
      if (find(key)) forget(tables, key.id);
    },
    fail: (key) => set(key, { state: "Inaccessible" }),
  });
  define("server-start", {
    work: async (key) => {
      await fleet.launch(key); // a machine is no result that can be kept
    },
    finish: (key) => set(key, { state: "Ready", isWaiting: false }),
    fail: (key) => set(key, { state: "Stopped" }),
  });
  define("server-stop", {
    work: async (key, { before }) => {
      requireStarted(find(key), before);
      await fleet.halt(key);
    },
    finish: (key) => set(key, { state: "Stopped", isWaiting: false }),
    fail: (key, { before }) => setBack(key, before),
  });
  define("server-restart", {
    work: async (key, { before }) => {
      requireStarted(find(key), before);
      await fleet.restart(key);
    },
    finish: (key) => set(key, { state: "Ready" }),
    fail: (key, { before }) => setBack(key, before),
  });
  define("administrator-put", {
    work: async (key, { administrator }) => {
      try {
        await putAdministratorRole(await requireMachine(key), administrator);
      } catch (error) {
        if ((error as { severity?: string }).severity !== "ERROR") throw error;
        const reason = "0LP01: An unexpected error occurred while trying to validate user.";
        throw armFront(400, "AadAuthOperationFailed", `Failed to create Azure AD Principal. Reason - ${reason}`); // code inferred
      }
    },
    finish: whileThere((_, { administrator }) => administrators.set(administrator.id, administrator)),
  });
  define("administrator-delete", {
    work: async (key, { administrator }) => dropAdministratorRole(await requireMachine(key), administrator.principalName),
    finish: whileThere((_, { administrator }) => void administrators.delete(administrator.id)),
  });
  define("firewall-put", { finish: whileThere((_, { rule }) => rules.set(rule.id, rule)) });
  define("firewall-delete", { finish: whileThere((_, { ruleId }) => void rules.delete(ruleId)) });
  define("configuration-set", {
    work: async (key, { parameter, value }) => applyParameter(parameter, value, await requireMachine(key)),
    finish: (key, { parameter, value }) => {
      const { [parameter.name]: _, ...others } = find(key)?.parameters ?? {};
      set(key, { parameters: value === undefined ? others : { ...others, [parameter.name]: value } });
    },
  });
  define("database-put", {
    work: async (key, { database }) => {
      const machine = await requireMachine(key);
      const known = await machine.administer(
        `SELECT FROM pg_catalog.pg_database WHERE datname = ${escapeLiteral(database.name)}::pg_catalog.name`,
      );
      if (known.length > 0) return;
      const owner = "OWNER azure_pg_admin";
      await machine.query("postgres", `CREATE DATABASE ${escapeIdentifier(database.name)} ${owner}`);
    },
    finish: whileThere((_, { database }) => databases.set(database.id, database)),
  });
  define("database-delete", {
    work: async (key, { database }) =>
      (await requireMachine(key)).query("postgres", `DROP DATABASE IF EXISTS ${escapeIdentifier(database.name)} WITH (FORCE)`),
    finish: whileThere((_, { database }) => void databases.delete(database.id)),
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
