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

export function createAppHost(describe: () => AppDescription, dependencies: InstanceDependencies): AppHost {
  let current: Generation = { kind: "stopped" };
  let pending: Running | undefined;
  let newest: Promise<StartOutcome> = Promise.resolve({ successful: 0, failed: 0 });
  let turn = 0;
  let number = 0;
  const retiring = new Set<Promise<unknown>>();

  const retire = (generation: Generation): Promise<void> => {
    if (generation.kind !== "running") return Promise.resolve();
    generation.cancel.abort(new Error("recycled"));
    const { appSettings } = describe();
    const work = Promise.all(generation.instances.map((instance) => stopInstance(instance, appSettings))).then(() => {
      retiring.delete(work);
    });
    retiring.add(work);
    return work;
  };
  const swap = (next: Generation): Promise<void> => {
    const old = current;
    current = next;
    return retire(old);
  };
  /** Whatever is starting is not wanted any more. */
  const supersede = (): void => {
    number += 1;
    if (pending) void retire(pending);
    pending = undefined;
  };

  const begin = async (mine: number): Promise<StartOutcome> => {
    const description = describe();
    const chosen = await chooseStart(description, (...lines) =>
      dependencies.log.write(instanceName(description, 0).machine, "default_docker", ...lines),
    );
    if (mine !== number) return newest;
    if (!chosen) {
      await swap({ kind: "waiting" });
      return { successful: 1, failed: 0 };
    }
    linkPrograms(chosen);
    const generation = await newGeneration(chosen, dependencies);
    if (mine !== number) return newest;
    pending = generation;
    const reasons = await Promise.all(generation.instances.map(startInstance));
    if (mine !== number) {
      await retire(generation);
      return newest;
    }
    pending = undefined;
    const retired = swap(generation);
    for (const instance of generation.instances) void keepUp(instance);
    await retired;
    return outcomeOf(reasons);
  };

  return {
    recycle: () => {
      supersede();
      newest = begin(number);
      return newest;
    },
    stop: async () => {
      supersede();
      const last = newest;
      newest = Promise.resolve({ successful: 0, failed: 0 });
      await swap({ kind: "stopped" });
      await Promise.all(retiring);
      await last.catch(() => {}); // told to whoever asked for it
    },
    instances: () => viewOf(current, describe()),
    waitUntilSettled: () =>
      newest.then(
        () => {},
        () => {},
      ),
    pick: () => {
      if (current.kind !== "running") return current.kind;
      const up = current.instances.filter((instance) => instance.isUp);
      turn += 1;
      const picked = up[turn % Math.max(1, up.length)];
      return picked ? { port: picked.port } : "down";
    },
  };
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
