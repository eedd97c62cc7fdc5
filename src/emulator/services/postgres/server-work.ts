import { armError } from "../../http/arm-error.ts";
import type { FlexibleServer } from "./model.ts";
import { putPasswordAdministrator } from "./roles.ts";
import { canHappen, type ServerEvent, type ServerState } from "./server-state.ts";
import { applyServerEvent, changeServer, findServer, forget, type ServerKey, serverGone } from "./servers.ts";
import { defineWork, requireMachine, type WriteContext } from "./write-work.ts";

/** The writes of the servers themselves. */
export function defineServerWork(context: WriteContext): void {
  defineLife(context);
  defineUpdate(context);
  definePower(context);
}

function defineLife(context: WriteContext): void {
  const { platform, tables, fleet } = context;
  const { servers } = tables;
  const destroy = async (key: ServerKey): Promise<void> => {
    const server = findServer(servers, key);
    if (server) await fleet.destroy(server);
  };
  const tell = (key: ServerKey) => (error: unknown) => platform.log(`postgres ${key.id.split("/").at(-1)}: ${error}`);

  defineWork(context, "server-create", {
    work: async (key) => {
      try {
        await putPasswordAdministrator(await fleet.launch(key), findServer(servers, key));
      } catch (error) {
        await destroy(key).catch(tell(key)); // what failed first is told
        throw error;
      }
    },
    finish: (key) => applyServerEvent(servers, key, "created"),
    fail: (key) => {
      const server = findServer(servers, key);
      if (!server) return;
      forget(tables, key.id);
      fleet.destroy(server).catch(tell(key));
    },
  });
  defineWork(context, "server-delete", {
    work: destroy,
    finish: (key) => {
      if (findServer(servers, key)) forget(tables, key.id);
    },
    fail: (key) => applyServerEvent(servers, key, "drop-failed"),
  });
}

function defineUpdate(context: WriteContext): void {
  const { tables, fleet } = context;
  defineWork(context, "server-update", {
    work: async (key, { next, needsRestart }) => {
      if (!findServer(tables.servers, key)) throw serverGone(key.id);
      await fleet.waitUntilSettled(key);
      if (!fleet.machine(key)) return;
      if (needsRestart) await fleet.restart(key);
      await putPasswordAdministrator(await requireMachine(context, key), next);
    },
    finish: (key, { next }) => {
      changeServer(tables.servers, key, (server) => ({ ...server, ...withoutRunning(next) }));
      applyServerEvent(tables.servers, key, "updated");
    },
    fail: (key, { next }) => applyServerEvent(tables.servers, key, failureOf(context, key, next.state)),
  });
}

/** What a write asks for; where and whether the server runs may have changed meanwhile. */
function withoutRunning({ address: _, state: __, isWaiting: ___, ...wanted }: FlexibleServer): Partial<FlexibleServer> {
  return wanted;
}

function definePower(context: WriteContext): void {
  const { servers } = context.tables;
  const { fleet } = context;
  defineWork(context, "server-start", {
    work: async (key) => {
      await fleet.launch(key); // a machine is no result that can be kept
    },
    finish: (key) => applyServerEvent(servers, key, "started"),
    fail: (key) => applyServerEvent(servers, key, "start-failed"),
  });
  defineWork(context, "server-stop", {
    work: async (key, { before }) => {
      if (!canHappen({ state: before }, "stop")) throw notStarted(findServer(servers, key), before);
      await fleet.halt(key);
    },
    finish: (key) => applyServerEvent(servers, key, "stopped"),
    fail: (key, { before }) => applyServerEvent(servers, key, failureOf(context, key, before)),
  });
  defineWork(context, "server-restart", {
    work: async (key, { before }) => {
      if (!canHappen({ state: before }, "restart")) throw notStarted(findServer(servers, key), before);
      await fleet.restart(key);
    },
    finish: (key) => applyServerEvent(servers, key, "restarted"),
    fail: (key, { before }) => applyServerEvent(servers, key, failureOf(context, key, before)),
  });
}

/** A server that ran before a write failed may have gone down with it. */
function failureOf({ fleet }: WriteContext, key: ServerKey, before: ServerState): ServerEvent {
  return before === "Ready" && !fleet.machine(key) ? "lost" : "write-failed";
}

function notStarted(server: FlexibleServer | undefined, before: ServerState) {
  return armError(
    409,
    "ServerIsNotReady",
    `Restart or Stop Server can only be performed on Started servers. Sever Name = ${server?.name}, Current Server State = ${before}`,
  );
}
