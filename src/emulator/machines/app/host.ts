import { createHash, randomUUID } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import type { Store } from "../../store.ts";
import { type RunningProcess, startProcess } from "../process.ts";
import { buildEnvironment } from "./environment.ts";
import type { FrontTarget } from "./front.ts";
import type { AppLog } from "./log.ts";
import { findPython, type Interpreter, linkInterpreter, ownNode, parseRuntime, type RuntimeRequest } from "./runtime.ts";
import { chooseStart, onLoopback, type StartDecision } from "./start-command.ts";

/** Everything about a site that its containers depend on; read anew at each start. */
export interface AppDescription {
  readonly siteId: string;
  readonly siteName: string;
  readonly resourceGroup: string;
  readonly subscriptionId: string;
  readonly regionName: string;
  readonly sku: string;
  readonly hostName: string;
  readonly linuxFxVersion: string;
  readonly appCommandLine: string;
  readonly appSettings: Readonly<Record<string, string>>;
  readonly connectionStrings: Readonly<Record<string, { readonly value: string; readonly type: string }>>;
  readonly isHttpLogging: boolean;
  readonly hasIdentity: boolean;
  /** How many instances the plan pays for. */
  readonly instanceCount: number;
  /** The deployed content; absent before the first deployment. */
  readonly appFolder?: string;
  readonly homeFolder: string;
  readonly binFolder: string;
}

/** What a host needs from around it. */
export interface AppHostSurroundings {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: AppLog;
  readonly shims: { readonly node: string; readonly python: string };
  readonly bundleFile: string;
  readonly startLimitMs: (settingSeconds: number | undefined) => number;
  /** Opens the identity endpoint to a new header; answers the endpoint's URL. */
  readonly identity: { open(header: string): string; close(header: string): void };
}

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
  /** The next instance in turn. */
  /** Resolves when the start that is going on has ended, well or not. */
  settled(): Promise<void>;
  pick(): FrontTarget;
}

interface Instance {
  readonly index: number;
  readonly id: string;
  readonly machine: string;
  readonly port: number;
  readonly header: string | undefined;
  process: RunningProcess | undefined;
  state: "starting" | "up" | "down";
  isStopping: boolean;
}

type Generation =
  | { readonly kind: "waiting" }
  | { readonly kind: "stopped" }
  | { readonly kind: "running"; readonly instances: readonly Instance[]; readonly cancel: AbortController };

const STOP_GRACE_SECONDS = 5;
const PROBE_EVERY_MS = 60;
const FIRST_BACKOFF_MS = 1_000;
const LAST_BACKOFF_MS = 60_000;
/** A container that lived this long is restarted at once. */
const STABLE_MS = 60_000;

export function createAppHost(describe: () => AppDescription, around: AppHostSurroundings): AppHost {
  const { log } = around;
  let current: Generation = { kind: "stopped" };
  let pending: { readonly generation: Generation & { kind: "running" } } | undefined;
  let newest: Promise<StartOutcome> = Promise.resolve({ successful: 0, failed: 0 });
  let turn = 0;
  let number = 0;
  const retiring = new Set<Promise<unknown>>();

  const retire = (generation: Generation): Promise<void> => {
    if (generation.kind !== "running") return Promise.resolve();
    generation.cancel.abort(new Error("recycled"));
    const work = Promise.all(generation.instances.map((instance) => stopInstance(instance, describe(), around))).then(() => {
      retiring.delete(work);
    });
    retiring.add(work);
    return work;
  };

  const begin = async (mine: number): Promise<StartOutcome> => {
    const description = describe();
    if (description.appFolder === undefined) {
      const old = current;
      current = { kind: "waiting" };
      await retire(old);
      return { successful: 1, failed: 0 };
    }
    const start = await prepare(description, description.appFolder, log);
    if (mine !== number) return newest;
    if (start.kind === "default-site") {
      const old = current;
      current = { kind: "waiting" };
      await retire(old);
      return { successful: 1, failed: 0 };
    }
    linkInterpreter(description.binFolder, start.runtime, start.interpreter);
    const cancel = new AbortController();
    const instances: Instance[] = [];
    for (let index = 0; index < Math.max(1, description.instanceCount); index += 1) {
      instances.push(await newInstance(description, index));
    }
    const generation = { kind: "running", instances, cancel } as const;
    pending = { generation };
    if (mine !== number) {
      await retire(generation);
      return newest;
    }
    const results = await Promise.all(instances.map((instance) => startInstance(instance, description, start, around, cancel.signal)));
    if (mine !== number) {
      await retire(generation);
      return newest;
    }
    const failed = results.filter((result) => result !== undefined);
    const old = current;
    current = generation;
    pending = undefined;
    for (const instance of instances) void supervise(instance, description, start, around, cancel.signal);
    await retire(old);
    return { successful: results.length - failed.length, failed: failed.length, ...(failed[0] ? { reason: failed[0] } : {}) };
  };

  const api: AppHost = {
    recycle: () => {
      number += 1;
      if (pending) void retire(pending.generation);
      pending = undefined;
      newest = begin(number);
      return newest;
    },
    stop: async () => {
      number += 1;
      const last = newest;
      newest = Promise.resolve({ successful: 0, failed: 0 });
      if (pending) void retire(pending.generation);
      pending = undefined;
      const old = current;
      current = { kind: "stopped" };
      await retire(old);
      await Promise.all(retiring);
      await last.catch(() => {}); // told to whoever asked for it
    },
    instances: () =>
      current.kind === "running"
        ? current.instances.map(({ id, machine, state }) => ({ id, machine, state: state === "up" ? "READY" : "UNKNOWN" }) as const)
        : Array.from({ length: Math.max(1, describe().instanceCount) }, (_, index) => ({
            ...nameInstance(describe(), index),
            state: current.kind === "stopped" ? ("STOPPED" as const) : ("READY" as const),
          })),
    settled: () =>
      newest.then(
        () => {},
        () => {},
      ),
    pick: () => {
      if (current.kind !== "running") return current.kind;
      const up = current.instances.filter((instance) => instance.state === "up");
      turn += 1;
      const chosen = up[turn % Math.max(1, up.length)];
      return chosen ? { port: chosen.port } : "down";
    },
  };
  return api;
}

/** Names that stay the same over restarts. */
function nameInstance(description: AppDescription, index: number): { readonly id: string; readonly machine: string } {
  const id = createHash("sha256").update(`${description.siteId.toLowerCase()}#${index}`).digest("hex");
  return { id, machine: `lw${index}sdlwk${id.slice(0, 6)}` };
}

async function newInstance(description: AppDescription, index: number): Promise<Instance> {
  return {
    ...nameInstance(description, index),
    index,
    port: await freePort(),
    header: description.hasIdentity ? randomUUID() : undefined,
    process: undefined,
    state: "starting",
    isStopping: false,
  };
}

interface PreparedStart {
  readonly kind: "command";
  readonly command: string;
  readonly runtime: RuntimeRequest;
  readonly interpreter: Interpreter;
}

/** The console's first lines, then the choice of interpreter and start command. */
async function prepare(
  description: AppDescription,
  folder: string,
  log: AppLog,
): Promise<PreparedStart | { readonly kind: "default-site" }> {
  const { machine } = nameInstance(description, 0);
  const runtime = parseRuntime(description.linuxFxVersion);
  const decision: StartDecision = await chooseStart(folder, runtime, description.appCommandLine);
  const interpreter = runtime.stack === "node" ? ownNode(runtime.version) : await findPython(runtime.version);
  log.write(
    machine,
    "default_docker",
    `   _____`,
    `  A P P   S E R V I C E   O N   L I N U X   (local Azure)`,
    `${description.linuxFxVersion} stands on ${interpreter ? `${interpreter.version} (${interpreter.path})` : "nothing: no interpreter found"}`,
    description.appCommandLine
      ? `Site's appCommandLine: ${description.appCommandLine}`
      : "App Command Line not configured, will attempt auto-detect",
    `Launching oryx with: create-script -appPath ${folder} -output /opt/startup/startup.sh -virtualEnvName antenv -defaultApp /opt/defaultsite`,
    decision.reason,
  );
  if (decision.kind === "default-site") return decision;
  if (!interpreter) {
    return { kind: "command", command: "echo 'No Python 3.10 or later on this machine' >&2; exit 127", runtime, interpreter: ownNode("") };
  }
  return { kind: "command", command: onLoopback(decision.command, runtime), runtime, interpreter };
}

/** Starts one instance and waits for its probe. Resolves with the reason of a failure, `undefined` when it is up. */
async function startInstance(
  instance: Instance,
  description: AppDescription,
  start: PreparedStart,
  around: AppHostSurroundings,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { log, clock } = around;
  const say = (...lines: string[]): void => log.write(instance.machine, "docker", ...lines);
  const begun = clock.now();
  say("Container start method called.", `Pulling image: appsvc/${start.runtime.stack}:${start.runtime.version}_20260203.2.tuxprod.`);
  instance.state = "starting";
  const identity = instance.header ? { endpoint: around.identity.open(instance.header), header: instance.header } : undefined;
  let running: RunningProcess;
  try {
    running = await startProcess(
      {
        owner: description.siteId,
        command: "/bin/sh",
        args: ["-c", start.command],
        cwd: description.appFolder ?? description.homeFolder,
        env: environmentOf(instance, description, start.runtime, around, identity),
        onOutput: (chunk) => log.output(instance.machine, chunk),
      },
      around.store,
    );
  } catch (error) {
    say(`Container start failed: ${(error as Error).message}`);
    instance.state = "down";
    return (error as Error).message;
  }
  instance.process = running;
  if (instance.isStopping || signal.aborted) {
    await running.stop(0);
    return "recycled";
  }
  say("Container is running.", `Container start method finished after ${clock.now() - begun} ms.`);
  say("State: Starting, Action: WaitingForSiteWarmUpProbeSuccess, LastError: , Details: ");
  const limitMs = around.startLimitMs(Number(description.appSettings.WEBSITES_CONTAINER_START_TIME_LIMIT) || undefined);
  const failure = await waitForProbe(instance.port, running, limitMs, clock, signal);
  const seconds = ((clock.now() - begun) / 1000).toFixed(2);
  log.flush(instance.machine);
  if (failure === undefined) {
    instance.state = "up";
    say(`Site startup probe succeeded after ${seconds} seconds.`, "Site started.");
    say(`Site is running with patch version ${start.runtime.stack.toUpperCase()} ${start.interpreter.version}`);
    return undefined;
  }
  instance.state = "down";
  if (failure.kind === "exited") {
    say(`Container has finished running with exit code: ${failure.code}.`);
    say(`Site container: ${description.siteName} terminated during site startup.`, `Site startup probe failed after ${seconds} seconds.`);
  } else if (failure.kind === "timeout") {
    say(
      `State: Stopping, Action: StoppingSiteContainers, LastError: ContainerTimeout, Details: Site startup probe failed after ${seconds} seconds.`,
    );
    say(`Container did not start within expected time limit of ${Math.round(limitMs / 1000)}s.`);
  }
  if (failure.kind !== "recycled") say("Failed to start site. Revert by stopping site.");
  await running.stop(STOP_GRACE_SECONDS * 1000);
  return failure.kind;
}

function environmentOf(
  instance: Instance,
  description: AppDescription,
  runtime: RuntimeRequest,
  around: AppHostSurroundings,
  identity: { endpoint: string; header: string } | undefined,
): Record<string, string> {
  const appFolder = description.appFolder ?? description.homeFolder;
  const antenv = join(appFolder, "antenv");
  return buildEnvironment({
    ...description,
    appFolder,
    stack: runtime.stack,
    instanceId: instance.id,
    machine: instance.machine,
    port: instance.port,
    shims: around.shims,
    bundleFile: around.bundleFile,
    ...(existsSync(antenv) ? { virtualEnvironment: realpathSync(antenv) } : {}),
    ...(identity ? { identity } : {}),
  });
}

type ProbeFailure = { readonly kind: "exited"; readonly code: number } | { readonly kind: "timeout" } | { readonly kind: "recycled" };

/** Asks `/robots933456.txt` until any HTTP answer comes (azure/appservice.md 3.3). */
async function waitForProbe(
  port: number,
  running: RunningProcess,
  limitMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<ProbeFailure | undefined> {
  const deadline = clock.now() + limitMs;
  let exited: ProbeFailure | undefined;
  const ending = running.ended.then((code) => {
    exited = { kind: "exited", code };
  });
  for (;;) {
    if (signal.aborted) return { kind: "recycled" };
    if (exited) return exited;
    if (await probe(port)) return undefined;
    if (clock.now() >= deadline) return { kind: "timeout" };
    await Promise.race([ending, clock.sleep(PROBE_EVERY_MS)]);
  }
}

function probe(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, path: "/robots933456.txt", timeout: 30_000, agent: false }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

/** Restarts an instance whenever it ends, with growing pauses, until the generation is cancelled. */
async function supervise(
  instance: Instance,
  description: AppDescription,
  start: PreparedStart,
  around: AppHostSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = around;
  let backoffMs = FIRST_BACKOFF_MS;
  let since = clock.now();
  while (!signal.aborted) {
    if (instance.state === "up" && instance.process) {
      const code = await instance.process.ended;
      log.flush(instance.machine);
      if (signal.aborted || instance.isStopping) return;
      instance.state = "down";
      log.write(instance.machine, "docker", `Container has finished running with exit code: ${code}.`);
      if (clock.now() - since > STABLE_MS) backoffMs = FIRST_BACKOFF_MS;
    }
    try {
      await clock.sleep(backoffMs, signal);
    } catch {
      return; // cancelled
    }
    backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
    since = clock.now();
    await startInstance(instance, description, start, around, signal);
  }
}

async function stopInstance(instance: Instance, description: AppDescription, around: AppHostSurroundings): Promise<void> {
  instance.isStopping = true;
  const wanted = Number(description.appSettings.WEBSITES_CONTAINER_STOP_TIME_LIMIT);
  const seconds = wanted > 0 ? Math.min(wanted, 120) : STOP_GRACE_SECONDS;
  await instance.process?.stop(seconds * 1000);
  instance.state = "down";
  around.log.flush(instance.machine);
  if (instance.header) around.identity.close(instance.header);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
