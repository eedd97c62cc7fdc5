import { isArmError } from "../../http/arm-error.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { PORT_TAKEN } from "./doors.ts";
import { asArmError } from "./failures.ts";
import type { Fleet } from "./fleet.ts";
import type { FlexibleServer } from "./model.ts";

const LOOK_EVERY_MS = 3_000;

/** Brings up, when local Azure starts, the servers that nobody stopped; one without a free address as soon as there is one. */
export interface Revival {
  start(): Promise<void>;
  stop(): void;
}

export function createRevival(platform: Platform, servers: Collection<FlexibleServer>, fleet: Fleet): Revival {
  const { operations, store, log } = platform;
  const portless = new Set<string>();
  const trying = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  /** A server that does not run must not be called Ready: its address may be somebody else's by now. */
  const set = (server: FlexibleServer, change: Pick<FlexibleServer, "state" | "isWaiting">): void => {
    const now = servers.get(server.id);
    if (now?.generation !== server.generation || !now) return;
    servers.set(server.id, { ...now, ...change });
    store.commit();
  };

  const revive = async (server: FlexibleServer): Promise<void> => {
    const { id, name } = server;
    trying.add(id);
    try {
      await fleet.launch(server);
      if (portless.delete(id)) log(`postgres ${name}: it has an address again and runs`);
      if (server.isWaiting) set(server, { state: "Ready", isWaiting: false });
    } catch (error) {
      const refusal = asArmError(platform, `postgres ${name}`, error);
      if (isArmError(refusal) && refusal.code === PORT_TAKEN) {
        if (!portless.has(id)) platform.tell(`postgres ${name}: ${refusal.message}`);
        portless.add(id);
      } else if (!isArmError(refusal)) log(`postgres ${name}: ${error instanceof Error ? error.message : error}`);
      set(server, { state: "Stopped", isWaiting: true });
    } finally {
      trying.delete(id);
    }
  };

  const lookAgain = (): void => {
    for (const id of portless) {
      const server = servers.get(id);
      if (!server?.isWaiting) portless.delete(id);
      else if (server.state === "Stopped" && !trying.has(id) && operations.running(id).length === 0) void revive(server);
    }
  };

  return {
    start: async () => {
      timer = setInterval(lookAgain, LOOK_EVERY_MS);
      timer.unref();
      await Promise.all(servers.list().filter(shouldRun).map(revive));
    },
    stop: () => clearInterval(timer),
  };
}

function shouldRun({ state, isWaiting }: FlexibleServer): boolean {
  return isWaiting === true || !["Stopped", "Provisioning", "Dropping"].includes(state);
}
