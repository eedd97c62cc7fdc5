import type { AppDescription } from "./description.ts";
import type { FrontTarget } from "./front.ts";
import { type Instance, type InstanceDependencies, instanceName, keepUp, newInstance, startInstance, stopInstance } from "./instance.ts";
import { type ChosenStart, chooseStart, linkPrograms } from "./start.ts";

/** How a start ended: of how many instances, and why not. */
export interface StartOutcome {
  readonly successful: number;
  readonly failed: number;
  readonly reason?: string;
}

interface InstanceView {
  /** 64 hex digits, as in ARM's `instances` and the affinity cookie. */
  readonly id: string;
  readonly machine: string;
  readonly state: "READY" | "STOPPED" | "UNKNOWN";
}

/** The containers of one site. */
export interface AppHost {
  /** Starts anew from the description: the old instances answer until the new ones do. Resolves with the newest start's outcome. */
  recycle(): Promise<StartOutcome>;
  stop(): Promise<void>;
  instances(): readonly InstanceView[];
  /** Resolves when the start that is going on has ended, well or not. */
  waitUntilSettled(): Promise<void>;
  /** The next instance in turn. */
  pick(): FrontTarget;
}

interface Running {
  readonly kind: "running";
  readonly instances: readonly Instance[];
  readonly cancel: AbortController;
}

type Generation = { readonly kind: "waiting" } | { readonly kind: "stopped" } | Running;

interface State {
  /** The site as it is now. */
  readonly describe: () => AppDescription;
  readonly dependencies: InstanceDependencies;
  /** What answers. */
  current: Generation;
  /** What is starting, to take its place. */
  pending: Running | undefined;
  /** The newest start. */
  newest: Promise<StartOutcome>;
  /** Of the newest start; an older one that finds another number here gives up. */
  number: number;
  /** Counts requests, to give them to the instances in turn. */
  turn: number;
  readonly retiring: Set<Promise<unknown>>;
}

const NOTHING_STARTED: StartOutcome = { successful: 0, failed: 0 };

export function createAppHost(describe: () => AppDescription, dependencies: InstanceDependencies): AppHost {
  const state: State = {
    ...{ describe, dependencies },
    current: { kind: "stopped" },
    pending: undefined,
    newest: Promise.resolve(NOTHING_STARTED),
    number: 0,
    turn: 0,
    retiring: new Set(),
  };
  return {
    recycle: () => {
      supersede(state);
      state.newest = start(state, state.number);
      return state.newest;
    },
    stop: async () => {
      supersede(state);
      const last = state.newest;
      state.newest = Promise.resolve(NOTHING_STARTED);
      await swap(state, { kind: "stopped" });
      await Promise.all(state.retiring);
      await last.catch(() => {}); // told to whoever asked for it
    },
    instances: () => viewOf(state.current, describe()),
    waitUntilSettled: () =>
      state.newest.then(
        () => {},
        () => {},
      ),
    pick: () => pick(state),
  };
}

/** Whatever is starting is not wanted any more. */
function supersede(state: State): void {
  state.number += 1;
  if (state.pending) void retire(state, state.pending);
  state.pending = undefined;
}

async function start(state: State, mine: number): Promise<StartOutcome> {
  const { dependencies } = state;
  const description = state.describe();
  const { machine } = instanceName(description, 0);
  const chosen = await chooseStart(description, (...lines) => dependencies.log.write(machine, "default_docker", ...lines));
  if (mine !== state.number) return state.newest;
  if (!chosen) {
    await swap(state, { kind: "waiting" });
    return { successful: 1, failed: 0 };
  }
  linkPrograms(chosen);
  const generation = await newGeneration(chosen, dependencies);
  if (mine !== state.number) return state.newest;
  state.pending = generation;
  const reasons = await Promise.all(generation.instances.map(startInstance));
  if (mine !== state.number) {
    await retire(state, generation);
    return state.newest;
  }
  state.pending = undefined;
  const swapped = swap(state, generation);
  for (const instance of generation.instances) void keepUp(instance);
  await swapped;
  return outcomeOf(reasons);
}

/** Puts a generation in the place of another, which then ends. */
function swap(state: State, next: Generation): Promise<void> {
  const old = state.current;
  state.current = next;
  return retire(state, old);
}

function retire({ describe, retiring }: State, generation: Generation): Promise<void> {
  if (generation.kind !== "running") return Promise.resolve();
  generation.cancel.abort(new Error("recycled"));
  const { appSettings } = describe();
  const work = Promise.all(generation.instances.map((instance) => stopInstance(instance, appSettings))).then(() => {
    retiring.delete(work);
  });
  retiring.add(work);
  return work;
}

function pick(state: State): FrontTarget {
  if (state.current.kind !== "running") return state.current.kind;
  const up = state.current.instances.filter((instance) => instance.isUp);
  state.turn += 1;
  const picked = up[state.turn % Math.max(1, up.length)];
  return picked ? { port: picked.port } : "down";
}

async function newGeneration(chosen: ChosenStart, dependencies: InstanceDependencies): Promise<Running> {
  const cancel = new AbortController();
  const instances: Instance[] = [];
  for (let index = 0; index < Math.max(1, chosen.app.instanceCount); index += 1) {
    instances.push(await newInstance(index, { chosen, dependencies, signal: cancel.signal }));
  }
  return { kind: "running", instances, cancel };
}

/** `undefined` stands for an instance that is up. */
function outcomeOf(reasons: readonly (string | undefined)[]): StartOutcome {
  const failed = reasons.filter((reason) => reason !== undefined);
  return { successful: reasons.length - failed.length, failed: failed.length, ...(failed[0] ? { reason: failed[0] } : {}) };
}

function viewOf(current: Generation, description: AppDescription): readonly InstanceView[] {
  if (current.kind === "running") {
    return current.instances.map(({ id, machine, isUp }) => ({ id, machine, state: isUp ? "READY" : "UNKNOWN" }));
  }
  const state = current.kind === "stopped" ? "STOPPED" : "READY";
  return Array.from({ length: Math.max(1, description.instanceCount) }, (_, index) => ({ ...instanceName(description, index), state }));
}
