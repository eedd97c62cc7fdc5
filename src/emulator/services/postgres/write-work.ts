import { armError } from "../../http/arm-error.ts";
import type { PostgresMachine } from "../../machines/postgres/machine.ts";
import type { Operation } from "../../operations.ts";
import type { Platform } from "../../platform.ts";
import { asArmError } from "./failures.ts";
import type { Fleet } from "./fleet.ts";
import { findServer, type ServerKey, serverGone, type Tables } from "./servers.ts";
import type { WriteKind, WritePayloads } from "./write-kinds.ts";

/** What the work of writes stands on. */
export interface WriteContext {
  readonly platform: Pick<Platform, "operations" | "endpoints" | "home" | "log">;
  readonly tables: Tables;
  readonly fleet: Fleet;
}

/** The work of one kind of write, and what others see when it ends. */
interface WriteWork<K extends WriteKind> {
  work?(key: ServerKey, payload: WritePayloads[K]): Promise<unknown>;
  finish?(key: ServerKey, payload: WritePayloads[K]): void;
  fail?(key: ServerKey, payload: WritePayloads[K]): void;
}

/** What the work of every kind knows of its server. Operations that an older version left unfinished carry only the ID. */
interface OnServer {
  readonly server?: ServerKey;
  readonly serverId?: string;
}

/** Makes the work of a kind known to the engine. */
export function defineWork<K extends WriteKind>({ platform }: WriteContext, kind: K, does: WriteWork<K>): void {
  const payloadOf = (operation: Operation) => operation.payload as WritePayloads[K] & OnServer;
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
}

/**
 * The running machine of a server that is still there. Waits for a start that is going on: after a `kill -9` the server and what was asked of it are
 * taken up together. Throws ARM's 404 and 409.
 */
export async function requireMachine({ tables, fleet }: WriteContext, key: ServerKey): Promise<PostgresMachine> {
  if (!findServer(tables.servers, key)) throw serverGone(key.id);
  await fleet.waitUntilSettled(key);
  const machine = fleet.machine(key);
  if (machine) return machine;
  throw armError(409, "ServerIsNotReady", `The server '${findServer(tables.servers, key)?.name}' is not started.`); // text inferred
}
