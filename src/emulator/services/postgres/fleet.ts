import { join } from "node:path";
import { judgeLogin } from "../../machines/postgres/login.ts";
import { createPostgresMachine, type PostgresMachine } from "../../machines/postgres/machine.ts";
import { removeServerFolder } from "../../machines/postgres/server-folder.ts";
import { type GatewayBackend, openTokenGateway, type TokenGateway } from "../../machines/postgres/token-gateway.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { openDoor } from "./doors.ts";
import { admits, type FirewallRule, type FlexibleServer, folderName } from "./model.ts";
import { baseSettings } from "./parameters.ts";
import { findRole, publishDirectory } from "./roles.ts";
import { createRuntimes } from "./runtimes.ts";
import { findServer, type ServerKey, serverGone } from "./servers.ts";
import { watchOf } from "./watch.ts";

/**
 * The processes and listeners of all flexible servers. A server is known by its ID *and* the creation it came from: what one creation left to be done
 * never touches the next server of the same name. What is asked of one server is done one after the other.
 */
export interface Fleet {
  /** Has a major's template ready before the first server asks, if its programs are here. */
  warm(major: number): Promise<void>;
  /** PostgreSQL's minor version of a server, once it is known. */
  minorVersion(server: FlexibleServer): string;
  /** The running machine; `undefined` while the server is stopped. */
  machine(server: ServerKey): PostgresMachine | undefined;
  /** Resolves when all that was asked of the server so far is done, well or not. */
  waitUntilSettled(server: ServerKey): Promise<void>;
  /**
   * Door and process up, directory known. Repeatable. Writes the address it found into the server's row. When it fails nothing of the server runs.
   * Throws an ArmError (`LocalAzurePortTaken`, 404 of a server that is gone) or KnownError `local/failed`.
   */
  launch(server: ServerKey): Promise<PostgresMachine>;
  /** Door closed, process ended; data stay. */
  halt(server: ServerKey): Promise<void>;
  /** Ends the process and starts it again behind the open door. */
  restart(server: ServerKey): Promise<void>;
  /** Halts, and removes the data. */
  destroy(server: FlexibleServer): Promise<void>;
  /** Breaks off what is being fetched, so that nothing waits for it. */
  ending(): void;
  /** Halts all. */
  close(): Promise<void>;
}

interface Unit {
  readonly server: ServerKey;
  machine?: PostgresMachine | undefined;
  door?: TokenGateway | undefined;
  /** It is being removed, or local Azure ends: nothing of it is started any more. */
  isGone: boolean;
  turn: Promise<unknown>;
}

export function createFleet(platform: Platform, servers: Collection<FlexibleServer>, rules: Collection<FirewallRule>): Fleet {
  const { home, directory, store, log } = platform;
  const runtimes = createRuntimes(home.postgres, log);
  const units = new Map<string, Unit>();
  let isClosing = false;

  const keyOf = ({ id, generation }: ServerKey): string => `${id.toLowerCase()}#${generation ?? ""}`;
  const unitOf = (server: ServerKey): Unit => {
    const { id, generation } = server;
    const unit = units.get(keyOf(server)) ?? {
      server: { id, ...(generation ? { generation } : {}) },
      isGone: isClosing,
      turn: Promise.resolve(),
    };
    units.set(keyOf(server), unit);
    return unit;
  };
  const inTurn = <T>(unit: Unit, work: () => Promise<T>): Promise<T> => {
    const done = unit.turn.then(work);
    unit.turn = done.catch(() => {});
    return done;
  };
  const find = (server: ServerKey): FlexibleServer | undefined => findServer(servers, server);
  const row = (unit: Unit): FlexibleServer => {
    const found = unit.isGone ? undefined : find(unit.server);
    if (!found) throw serverGone(unit.server.id);
    return found;
  };

  const newMachine = async (server: FlexibleServer): Promise<PostgresMachine> => {
    const runtime = await runtimes.of(Number(server.version));
    const settings = (): Record<string, string> => baseSettings(find(server) ?? server, runtime.binaries.major);
    return createPostgresMachine(runtime, folderOf(platform, server), settings, log);
  };

  const openOwnDoor = async (unit: Unit): Promise<TokenGateway> => {
    const { id } = row(unit);
    const taken = new Set(servers.list().flatMap((other) => (other.id !== id && other.address ? [other.address] : [])));
    const door = await openDoor(row(unit), home.root, taken, (at) =>
      openTokenGateway(
        at,
        platform.certificates.issue([at.address, "localhost"]),
        backendOf(platform, rules, unit, () => find(unit.server)),
      ),
    );
    const { name, address: before } = row(unit);
    if (before && before !== door.address) {
      const remedy = "apps have the old address until `passwordless-pg init --local` gives them the new one";
      platform.tell(`postgres ${name}: moved from ${before}, where another process listens, to ${door.address}: ${remedy}`);
    }
    servers.set(id, { ...row(unit), address: door.address });
    store.commit();
    return door;
  };

  const takeDown = async (unit: Unit): Promise<void> => {
    const { door, machine } = unit;
    unit.door = undefined;
    await Promise.all([door?.close(), machine?.stop()]);
    unit.machine = undefined;
  };

  const bringUp = async (unit: Unit): Promise<PostgresMachine> => {
    try {
      // The door first: without one there is no server, and whoever comes too early is told that it starts.
      unit.door ??= await openOwnDoor(unit);
      unit.machine ??= await newMachine(row(unit));
      const { state, auth } = row(unit);
      await unit.machine.start({ mustHaveData: state !== "Provisioning" });
      await publishDirectory(unit.machine, auth.tenantId, directory);
      row(unit);
      return unit.machine;
    } catch (error) {
      await takeDown(unit);
      throw error;
    }
  };

  const halt = (unit: Unit): Promise<void> => inTurn(unit, () => takeDown(unit));

  directory.onChange(() => {
    for (const { server, machine } of units.values()) {
      const found = find(server);
      if (!found || !machine?.isReady()) continue;
      publishDirectory(machine, found.auth.tenantId, directory).catch((error) => log(`postgres ${found.name}: ${error}`));
    }
  });

  return {
    warm: runtimes.warm,
    minorVersion: ({ version }) => runtimes.minorOf(Number(version)) ?? "0",
    machine: (server) => {
      const machine = units.get(keyOf(server))?.machine;
      return machine?.isReady() ? machine : undefined;
    },
    waitUntilSettled: async (server) => void (await units.get(keyOf(server))?.turn),
    launch: (server) => {
      const unit = unitOf(server);
      return inTurn(unit, () => bringUp(unit));
    },
    halt: (server) => halt(unitOf(server)),
    restart: (server) => {
      const unit = unitOf(server);
      return inTurn(unit, async () => {
        await unit.machine?.stop();
        await bringUp(unit);
      });
    },
    destroy: async (server) => {
      const unit = unitOf(server);
      unit.isGone = true;
      await halt(unit);
      await removeServerFolder(folderOf(platform, server), log);
      units.delete(keyOf(server));
    },
    ending: () => runtimes.breakOff(),
    close: async () => {
      isClosing = true;
      for (const unit of units.values()) unit.isGone = true;
      await runtimes.close();
      await Promise.all([...units.values()].map(halt));
    },
  };
}

function folderOf({ home }: Platform, server: FlexibleServer): string {
  return join(home.postgres, "servers", folderName(server));
}

/** What the gateway of a server asks. The machine behind it may not be there yet, the row not any more. */
function backendOf(
  platform: Platform,
  rules: Collection<FirewallRule>,
  unit: Unit,
  look: () => FlexibleServer | undefined,
): GatewayBackend {
  const { tokens, directory, log } = platform;
  const there = (): { readonly machine: PostgresMachine; readonly server: FlexibleServer } => {
    const [machine, server] = [unit.machine, look()];
    if (machine && server) return { machine, server };
    throw new Error(`the server ${unit.server.id} is gone`);
  };
  return {
    socketPath: () => there().machine.socketPath(),
    isReady: () => unit.machine?.isReady() ?? false,
    requiresTls: () => look()?.parameters.require_secure_transport !== "off",
    admits: (address) => admits(rules.list(`${unit.server.id}/firewallRules/`), address, platform.isCallerOutside),
    isPublic: () => look()?.publicNetworkAccess === "Enabled",
    judge: async (user, password) => {
      const { machine, server } = there();
      const policy = {
        activeDirectoryAuth: server.auth.activeDirectoryAuth === "Enabled",
        passwordAuth: server.auth.passwordAuth === "Enabled",
        tenantId: server.auth.tenantId,
      };
      return judgeLogin(user, password, await findRole(machine, user), policy, tokens, directory);
    },
    watch: () => {
      const server = look();
      return server && watchOf(platform, `postgres:${server.name}`, server.address ?? "localhost");
    },
    log,
  };
}
