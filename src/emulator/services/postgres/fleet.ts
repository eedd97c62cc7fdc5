import { join } from "node:path";
import { createPostgresMachine, type PostgresMachine } from "../../machines/postgres/machine.ts";
import { removeServerFolder } from "../../machines/postgres/server-folder.ts";
import { openTokenGateway, type TokenGateway } from "../../machines/postgres/token-gateway.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { openDoor } from "./doors.ts";
import { gatewayBackend } from "./gateway-backend.ts";
import { type FirewallRule, type FlexibleServer, folderName } from "./model.ts";
import { baseSettings } from "./parameters.ts";
import { publishDirectory } from "./roles.ts";
import { createRuntimes, type Runtimes } from "./runtimes.ts";
import { findServer, type ServerKey, serverGone } from "./servers.ts";

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

interface Context {
  readonly platform: Platform;
  readonly servers: Collection<FlexibleServer>;
  readonly rules: Collection<FirewallRule>;
  readonly runtimes: Runtimes;
  readonly units: Map<string, Unit>;
  isClosing: boolean;
}

export function createFleet(platform: Platform, servers: Collection<FlexibleServer>, rules: Collection<FirewallRule>): Fleet {
  const runtimes = createRuntimes(platform.home.postgres, platform.log);
  const context: Context = { platform, servers, rules, runtimes, units: new Map(), isClosing: false };
  platform.directory.onChange(() => publishToAll(context));
  return {
    warm: runtimes.warm,
    minorVersion: ({ version }) => runtimes.minorOf(Number(version)) ?? "0",
    machine: (server) => {
      const machine = context.units.get(keyOf(server))?.machine;
      return machine?.isReady() ? machine : undefined;
    },
    waitUntilSettled: async (server) => void (await context.units.get(keyOf(server))?.turn),
    launch: (server) => inTurn(unitOf(context, server), (unit) => bringUp(context, unit)),
    halt: (server) => inTurn(unitOf(context, server), takeDown),
    restart: (server) =>
      inTurn(unitOf(context, server), async (unit) => {
        await unit.machine?.stop();
        await bringUp(context, unit);
      }),
    destroy: async (server) => {
      const unit = unitOf(context, server);
      unit.isGone = true;
      await inTurn(unit, takeDown);
      await removeServerFolder(folderOf(platform, server), platform.log);
      context.units.delete(keyOf(server));
    },
    ending: () => runtimes.breakOff(),
    close: async () => {
      context.isClosing = true;
      for (const unit of context.units.values()) unit.isGone = true;
      await runtimes.close();
      await Promise.all([...context.units.values()].map((unit) => inTurn(unit, takeDown)));
    },
  };
}

function keyOf({ id, generation }: ServerKey): string {
  return `${id.toLowerCase()}#${generation ?? ""}`;
}

function unitOf({ units, isClosing }: Context, server: ServerKey): Unit {
  const { id, generation } = server;
  const known = units.get(keyOf(server));
  const unit = known ?? { server: { id, ...(generation ? { generation } : {}) }, isGone: isClosing, turn: Promise.resolve() };
  units.set(keyOf(server), unit);
  return unit;
}

function inTurn<T>(unit: Unit, work: (unit: Unit) => Promise<T>): Promise<T> {
  const done = unit.turn.then(() => work(unit));
  unit.turn = done.catch(() => {});
  return done;
}

/** Throws ARM's 404 when the server is gone. */
function rowOf({ servers }: Context, unit: Unit): FlexibleServer {
  const found = unit.isGone ? undefined : findServer(servers, unit.server);
  if (!found) throw serverGone(unit.server.id);
  return found;
}

async function bringUp(context: Context, unit: Unit): Promise<PostgresMachine> {
  try {
    // The door first: without one there is no server, and whoever comes too early is told that it starts.
    unit.door ??= await openOwnDoor(context, unit);
    unit.machine ??= await newMachine(context, rowOf(context, unit));
    const { state, auth } = rowOf(context, unit);
    await unit.machine.start({ mustHaveData: state !== "Provisioning" });
    await publishDirectory(unit.machine, auth.tenantId, context.platform.directory);
    rowOf(context, unit);
    return unit.machine;
  } catch (error) {
    await takeDown(unit);
    throw error;
  }
}

async function takeDown(unit: Unit): Promise<void> {
  const { door, machine } = unit;
  unit.door = undefined;
  await Promise.all([door?.close(), machine?.stop()]);
  unit.machine = undefined;
}

async function newMachine({ platform, servers, runtimes }: Context, server: FlexibleServer): Promise<PostgresMachine> {
  const runtime = await runtimes.of(Number(server.version));
  const settings = (): Record<string, string> => baseSettings(findServer(servers, server) ?? server, runtime.binaries.major);
  return createPostgresMachine(runtime, folderOf(platform, server), settings, platform.log);
}

async function openOwnDoor(context: Context, unit: Unit): Promise<TokenGateway> {
  const { platform, servers, rules } = context;
  const { id, name, address: before } = rowOf(context, unit);
  const taken = new Set(servers.list().flatMap((other) => (other.id !== id && other.address ? [other.address] : [])));
  const backend = gatewayBackend(platform, {
    id,
    row: () => findServer(servers, unit.server),
    machine: () => unit.machine,
    rules: () => rules.list(`${id}/firewallRules/`),
  });
  const door = await openDoor(rowOf(context, unit), { home: platform.home.root, taken }, (at) =>
    openTokenGateway(at, platform.certificates.issue([at.address, "localhost"]), backend),
  );
  if (before && before !== door.address) {
    const remedy = "apps have the old address until `passwordless-pg init --local` gives them the new one";
    platform.tell(`postgres ${name}: moved from ${before}, where another process listens, to ${door.address}: ${remedy}`);
  }
  servers.set(id, { ...rowOf(context, unit), address: door.address });
  platform.store.commit();
  return door;
}

/** Gives the servers that run the names of the tenant as they are now. */
function publishToAll({ platform, servers, units }: Context): void {
  for (const { server, machine } of units.values()) {
    const found = findServer(servers, server);
    if (!found || !machine?.isReady()) continue;
    publishDirectory(machine, found.auth.tenantId, platform.directory).catch((error) => platform.log(`postgres ${found.name}: ${error}`));
  }
}

function folderOf({ home }: Platform, server: FlexibleServer): string {
  return join(home.postgres, "servers", folderName(server));
}
