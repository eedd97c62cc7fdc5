import { type StateTable, stateAfter } from "../../state-table.ts";

/** Azure's words (azure/postgres.md section 5); `Disabled` is never seen here. */
export const serverStates = [
  "Provisioning",
  "Ready",
  "Updating",
  "Starting",
  "Stopping",
  "Stopped",
  "Restarting",
  "Dropping",
  "Inaccessible",
] as const;

export type ServerState = (typeof serverStates)[number];

/**
 * What can happen to a flexible server: a write that is accepted, its end, and what the processes of this machine do by themselves.
 * An end may come late: after a `kill -9` the write is taken up beside the revival of the server, which may have failed or succeeded meanwhile.
 */
export type ServerEvent =
  | "update"
  | "start"
  | "stop"
  | "restart"
  | "drop"
  | "created"
  | "updated"
  | "started"
  | "stopped"
  | "restarted"
  /** An update, stop or restart failed, and the server is what it was. */
  | "write-failed"
  | "start-failed"
  | "drop-failed"
  /** It runs again after local Azure, or a free address, came back. */
  | "revived"
  /** It does not run though nobody stopped it: it is not Ready, since its address may be somebody else's by now. */
  | "lost";

/** The states that an event leaves as they are. */
const stays = <State extends ServerState>(...states: readonly State[]) =>
  Object.fromEntries(states.map((state) => [state, state])) as Readonly<Partial<Record<ServerState, ServerState>>>;

/**
 * Recorded and documented: `stop` and `restart` are for started servers only, and are refused in the poll (azure/postgres.md, `ServerIsNotReady`);
 * `start` of a server that runs is taken (inferred). Writes begin on idle servers only, hence in no state of a write that goes on.
 */
export const serverStateTable: StateTable<ServerState, ServerEvent> = {
  update: { Ready: "Updating", Stopped: "Stopped", Inaccessible: "Inaccessible" },
  start: { Ready: "Starting", Stopped: "Starting", Inaccessible: "Starting" },
  stop: { Ready: "Stopping" },
  restart: { Ready: "Restarting" },
  drop: { Ready: "Dropping", Stopped: "Dropping", Inaccessible: "Dropping" },
  created: { Provisioning: "Ready" },
  updated: { Updating: "Ready", ...stays("Ready", "Stopped", "Inaccessible") },
  started: { Starting: "Ready", Ready: "Ready", Stopped: "Ready" },
  stopped: { Stopping: "Stopped", Stopped: "Stopped" },
  restarted: { Restarting: "Ready", Ready: "Ready", Stopped: "Ready" },
  "write-failed": { Updating: "Ready", Stopping: "Ready", Restarting: "Ready", ...stays("Ready", "Stopped", "Inaccessible") },
  "start-failed": { Starting: "Stopped", Ready: "Stopped", Stopped: "Stopped" },
  "drop-failed": { Dropping: "Inaccessible" },
  revived: { Stopped: "Ready", ...stays("Ready", "Updating", "Starting", "Restarting", "Stopping", "Dropping", "Inaccessible") },
  lost: {
    ...{ Ready: "Stopped", Updating: "Stopped", Starting: "Stopped", Restarting: "Stopped", Stopping: "Stopped" },
    ...{ Inaccessible: "Stopped", Stopped: "Stopped", Dropping: "Dropping" },
  },
};

/** Is the event legal now? */
export function canHappen({ state }: { readonly state: ServerState }, event: ServerEvent): boolean {
  return serverStateTable[event][state] !== undefined;
}

/** The server after an event. `isWaiting`: nobody stopped it, so it is started at the next occasion. Throws on an illegal pair, which is a bug. */
export function afterServerEvent<Server extends { readonly state: ServerState; readonly isWaiting?: boolean }>(
  server: Server,
  event: ServerEvent,
): Server {
  const state = stateAfter(serverStateTable, server.state, event);
  if (event === "lost") return { ...server, state, isWaiting: state === "Stopped" };
  return state === "Ready" || event === "stopped" ? { ...server, state, isWaiting: false } : { ...server, state };
}
