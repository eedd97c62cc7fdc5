import { join } from "node:path";
import { escapeIdentifier, escapeLiteral } from "pg";
import { judgeLogin, type LoginRole } from "../../machines/pg-login.ts";
import { createPostgresMachine, type PostgresMachine, type PostgresRuntime, preparePostgres } from "../../machines/postgres.ts";
import { openTokenGateway, type TokenGateway, type Watch } from "../../machines/token-gateway.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { type Administrator, admits, candidateAddress, type FirewallRule, type FlexibleServer, folderName } from "./model.ts";
import { baseSettings } from "./parameters.ts";

/** The processes and listeners of all flexible servers. */
export interface Fleet {
  /** PostgreSQL's version, once it is known: `16.14`. */
  version(): string;
  runtime(): Promise<PostgresRuntime>;
  /** The running machine; `undefined` while the server is stopped. */
  machine(serverId: string): PostgresMachine | undefined;
  /** Process and gateway up, directory known. Repeatable. Writes the address it found into the server's row. */
  launch(serverId: string): Promise<PostgresMachine>;
  /** Gateway closed, process ended; data stay. */
  halt(serverId: string): Promise<void>;
  /** Ends the process and starts it again behind the open gateway. */
  restart(serverId: string): Promise<void>;
  /** Halts, and removes the data. */
  destroy(server: FlexibleServer): Promise<void>;
  /** Halts all. */
  close(): Promise<void>;
}

interface Unit {
  readonly machine: PostgresMachine;
  readonly gateways: TokenGateway[];
}

const POSTGRES_PORT = 5432;
const ADDRESS_ATTEMPTS = 50;

export function createFleet(platform: Platform, servers: Collection<FlexibleServer>, rules: Collection<FirewallRule>): Fleet {
  const { home, directory, tokens, certificates, store, log } = platform;
  const units = new Map<string, Unit>();
  const launching = new Map<string, Promise<PostgresMachine>>();
  let prepared: Promise<PostgresRuntime> | undefined;
  let ready: PostgresRuntime | undefined;

  const runtime = async (): Promise<PostgresRuntime> => {
    prepared ??= preparePostgres(home.postgres, log);
    try {
      ready = await prepared;
      return ready;
    } catch (error) {
      prepared = undefined; // the next one may have npm, or another home
      throw error;
    }
  };

  const row = (serverId: string): FlexibleServer => {
    const server = servers.get(serverId);
    if (!server) throw new Error(`no row of flexible server ${serverId}`);
    return server;
  };

  const newMachine = (server: FlexibleServer, shared: PostgresRuntime): PostgresMachine =>
    createPostgresMachine(
      shared,
      join(home.postgres, "servers", folderName(server)),
      () => baseSettings(servers.get(server.id) ?? server, shared.binaries.major),
      log,
    );

  const backend = (serverId: string, machine: PostgresMachine) => ({
    socketPath: machine.socketPath,
    isReady: machine.isReady,
    requiresTls: () => servers.get(serverId)?.parameters.require_secure_transport !== "off",
    admits: (address: string) => admits(rules.list(`${serverId}/firewallRules/`), address, platform.isCallerOutside),
    isPublic: () => servers.get(serverId)?.publicNetworkAccess === "Enabled",
    judge: async (user: string, password: string) => {
      const { auth } = row(serverId);
      const policy = {
        activeDirectoryAuth: auth.activeDirectoryAuth === "Enabled",
        passwordAuth: auth.passwordAuth === "Enabled",
        tenantId: auth.tenantId,
      };
      return judgeLogin(user, password, await findRole(machine, user), policy, tokens, directory);
    },
    watch: () => watchOf(platform, `postgres:${row(serverId).name}`, row(serverId).address ?? "localhost"),
    log,
  });

  /** Listens on the server's own address; on a new one when somebody else has taken it. */
  const listen = async (serverId: string, machine: PostgresMachine): Promise<TokenGateway> => {
    const server = row(serverId);
    const taken = new Set(servers.list().flatMap((other) => (other.id !== server.id && other.address ? [other.address] : [])));
    const tried = Array.from({ length: ADDRESS_ATTEMPTS }, (_, attempt) => candidateAddress(home.root, server.name, attempt));
    for (const address of server.address ? [server.address, ...tried] : tried) {
      if (taken.has(address)) continue;
      const port = server.address === address ? (server.port ?? POSTGRES_PORT) : POSTGRES_PORT;
      try {
        const gateway = await openTokenGateway({ address, port }, certificates.issue([address, "localhost"]), backend(serverId, machine));
        servers.set(serverId, { ...row(serverId), address, port: gateway.port });
        store.commit();
        return gateway;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EADDRNOTAVAIL" || code === "EACCES") break; // only 127.0.0.1 here (macOS), or ports below 10000 are kept
        if (code !== "EADDRINUSE") throw error;
      }
    }
    const address = "127.0.0.1";
    const gateway = await openTokenGateway({ address, port: 0 }, certificates.issue([address, "localhost"]), backend(serverId, machine));
    servers.set(serverId, { ...row(serverId), address, port: gateway.port });
    store.commit();
    return gateway;
  };

  const launch = async (serverId: string): Promise<PostgresMachine> => {
    const key = serverId.toLowerCase();
    const unit = units.get(key) ?? { machine: newMachine(row(serverId), await runtime()), gateways: [] };
    units.set(key, unit);
    const major = ready?.binaries.major;
    if (major && `${major}` !== row(serverId).version) {
      log(`postgres ${row(serverId).name}: version ${row(serverId).version} was asked for, PostgreSQL ${major} is what this machine has`);
    }
    await unit.machine.start();
    await publishDirectory(unit.machine, row(serverId).auth.tenantId, directory);
    if (unit.gateways.length === 0) unit.gateways.push(await listen(serverId, unit.machine));
    return unit.machine;
  };

  const halt = async (serverId: string): Promise<void> => {
    const key = serverId.toLowerCase();
    await launching.get(key)?.catch(() => {});
    const unit = units.get(key);
    if (!unit) return;
    await Promise.all(unit.gateways.map((gateway) => gateway.close()));
    await unit.machine.stop();
    units.delete(key);
  };

  directory.onChange(() => {
    for (const [serverId, { machine }] of units) {
      const server = servers.get(serverId);
      if (!server || !machine.isReady()) continue;
      publishDirectory(machine, server.auth.tenantId, directory).catch((error) => log(`postgres ${server.name}: ${error}`));
    }
  });

  return {
    version: () => ready?.binaries.version ?? "16",
    runtime,
    machine: (serverId) => {
      const unit = units.get(serverId.toLowerCase());
      return unit?.machine.isReady() ? unit.machine : undefined;
    },
    launch: (serverId) => {
      const key = serverId.toLowerCase();
      const started = launching.get(key) ?? launch(serverId).finally(() => launching.delete(key));
      launching.set(key, started);
      return started;
    },
    halt,
    restart: async (serverId) => {
      await units.get(serverId.toLowerCase())?.machine.stop();
      await units.get(serverId.toLowerCase())?.machine.start();
    },
    destroy: async (server) => {
      const shared = await runtime();
      const machine = units.get(server.id.toLowerCase())?.machine ?? newMachine(server, shared);
      await halt(server.id);
      await machine.remove();
    },
    close: async () => {
      await prepared?.catch(() => {}); // a half-made template is not left with its process
      await Promise.all([...launching.keys(), ...units.keys()].map(halt));
    },
  };
}

/** States after which the server ends the connection; any other leaves it in use (PostgreSQL documentation, appendix "Error Codes"). */
const FATAL_STATES = /^(08|28|53300|57P0)/;

/** Faults put on the server, and tests. `undefined` when there are neither, so that statements are copied at full speed. */
function watchOf({ certificates, clock, faults, onTraffic }: Platform, host: string, address: string): Watch | undefined {
  if (!onTraffic && faults.list().length === 0) return undefined;
  let isAnswerLost = false;
  return async (phase, method, path, signal) => {
    if ((await onTraffic?.({ phase, host, method, path })) === "drop") return { kind: "drop" };
    if (phase === "done") return isAnswerLost ? { kind: "drop" } : undefined;
    const fault = faults.take(host, method, path);
    switch (fault?.kind) {
      case undefined:
        return undefined;
      case "stall":
        await clock.sleep(fault.ms, signal);
        return undefined;
      case "drop-after":
        isAnswerLost = true;
        return method === "CONNECT" ? { kind: "drop" } : undefined;
      case "tls":
        return {
          kind: "tls",
          certificate: fault.flaw === "refused" ? undefined : certificates.issueFlawed([address, "localhost"], fault.flaw),
        };
      case "sql-error": {
        const refusal = { sqlState: fault.sqlState, message: fault.message ?? "The connection failed by a fault put on its server." };
        const isFatal = method !== "SQL" || FATAL_STATES.test(fault.sqlState);
        return { kind: isFatal ? "dismiss" : "raise", refusal };
      }
      default:
        return { kind: "drop" };
    }
  };
}

async function findRole(machine: PostgresMachine, user: string): Promise<LoginRole | undefined> {
  const [found] = await machine.administer(
    `SELECT r.rolpassword AS verifier, l.label FROM pg_authid r
     LEFT JOIN pg_shseclabel l ON l.objoid = r.oid AND l.classoid = 'pg_authid'::regclass AND l.provider = 'pgaadauth'
     WHERE r.rolname = ${escapeLiteral(user)}::name`,
  );
  if (!found) return undefined;
  const label = typeof found.label === "string" ? found.label : undefined;
  const [, type] = /(?:^|,)type=([^,]+)/.exec(label ?? "") ?? [];
  const [, objectId] = /(?:^|,)oid=([^,]+)/.exec(label ?? "") ?? [];
  return {
    isEntra: label !== undefined,
    ...(type ? { type } : {}),
    ...(objectId ? { objectId } : {}),
    ...(typeof found.verifier === "string" ? { verifier: found.verifier } : {}),
  };
}

/** Gives the server the names `pgaadauth_create_principal` resolves. One batch, hence one transaction. */
async function publishDirectory(machine: PostgresMachine, tenantId: string, directory: Platform["directory"]): Promise<void> {
  const rows = directory.list().map((principal) => {
    const name = principal.type === "User" ? (principal.userPrincipalName ?? principal.displayName) : principal.displayName;
    return `(${[name, labelType(principal.type), principal.objectId].map(escapeLiteral).join(", ")})`;
  });
  await machine.administer(
    [
      "DELETE FROM pgaadauth_local.tenant",
      `INSERT INTO pgaadauth_local.tenant VALUES (${escapeLiteral(tenantId)})`,
      "DELETE FROM pgaadauth_local.principals",
      ...(rows.length > 0 ? [`INSERT INTO pgaadauth_local.principals VALUES ${rows.join(", ")}`] : []),
    ].join(";"),
  );
}

function labelType(type: Administrator["principalType"]): "user" | "group" | "service" {
  return type === "ServicePrincipal" ? "service" : type === "Group" ? "group" : "user";
}

/** Creates or relabels the role of an administrator that ARM names. Repeatable. */
export async function putAdministratorRole(machine: PostgresMachine, administrator: Administrator): Promise<void> {
  const role = administrator.principalName;
  const known = await machine.administer(`SELECT FROM pg_authid WHERE rolname = ${escapeLiteral(role)}::name`);
  const values = [role, administrator.objectId, labelType(administrator.principalType)].map(escapeLiteral).join(", ");
  if (known.length === 0) {
    await machine.administer(`SELECT pgaadauth_local.create_role(${values}, true, false)`);
    return;
  }
  await machine.administer(
    [
      `ALTER ROLE ${escapeIdentifier(role)} LOGIN CREATEROLE CREATEDB`,
      `GRANT azure_pg_admin TO ${escapeIdentifier(role)} WITH ADMIN OPTION`,
      `SELECT pgaadauth_local.label_role(${values}, true, false)`,
    ].join(";"),
  );
}

/** Drops an administrator's role; what it owned goes to `azure_pg_admin` (inferred: Azure does not say where it goes). Repeatable. */
export async function dropAdministratorRole(machine: PostgresMachine, role: string): Promise<void> {
  const known = await machine.administer(`SELECT FROM pg_authid WHERE rolname = ${escapeLiteral(role)}::name`);
  if (known.length === 0) return;
  const name = escapeIdentifier(role);
  const databases = await machine.administer("SELECT datname FROM pg_database WHERE datallowconn");
  for (const { datname } of databases) {
    await machine.query(String(datname), `REASSIGN OWNED BY ${name} TO azure_pg_admin; DROP OWNED BY ${name}`);
  }
  await machine.administer(`DROP ROLE ${name}`);
}
