import { isArmError } from "../../http/arm-error.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { PORT_TAKEN } from "./doors.ts";
import { asArmError } from "./failures.ts";
import type { FlexibleServer } from "./model.ts";
import { applyServerEvent, type ServerKey } from "./servers.ts";

const LOOK_EVERY_MS = 3_000;

/** Brings up, when local Azure starts, the servers that nobody stopped; one without a free address as soon as there is one. */
export interface Revival {
  start(): Promise<void>;
  stop(): void;
}

export function createRevival(
  platform: Pick<Platform, "operations" | "store" | "home" | "log" | "tell">,
  servers: Collection<FlexibleServer>,
  fleet: { launch(server: ServerKey): Promise<unknown> },
): Revival {
  const { operations, store, log } = platform;
  const portless = new Set<string>();
  const trying = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const apply = (server: FlexibleServer, event: "revived" | "lost"): void => {
    applyServerEvent(servers, server, event);
    store.commit();
  };

  const revive = async (server: FlexibleServer): Promise<void> => {
    const { id, name } = server;
    trying.add(id);
    try {
      await fleet.launch(server);
      if (portless.delete(id)) log(`postgres ${name}: it has an address again and runs`);
      if (server.isWaiting) apply(server, "revived");
    } catch (error) {
      const refusal = asArmError(platform, `postgres ${name}`, error);
      if (isArmError(refusal) && refusal.code === PORT_TAKEN) {
        if (!portless.has(id)) platform.tell(`postgres ${name}: ${refusal.message}`);
        portless.add(id);
      } else if (!isArmError(refusal)) log(`postgres ${name}: ${error instanceof Error ? error.message : error}`);
      apply(server, "lost");
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

/** Nobody stopped, stops or drops it. One that is being made is started by its creation. */
function shouldRun({ state, isWaiting }: FlexibleServer): boolean {
  return state === "Stopped" ? isWaiting === true : !["Stopping", "Provisioning", "Dropping"].includes(state);
}
