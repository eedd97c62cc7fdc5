import { createHash, randomUUID } from "node:crypto";
import net from "node:net";
import type { Clock } from "../../../base/clock.ts";
import type { Store } from "../../store.ts";
import { type RunningProcess, startProcess } from "../process.ts";
import type { AppDescription } from "./description.ts";
import { buildEnvironment, type ContainerFiles } from "./environment.ts";
import type { AppLog } from "./log.ts";
import type { ChosenStart } from "./start.ts";

/** What instances need of local Azure. */
export interface InstanceDependencies extends ContainerFiles {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: AppLog;
  readonly startLimitMs: (settingSeconds: number | undefined) => number;
  /** Opens the identity endpoint to a new header; answers the endpoint's URL. */
  readonly identity: { open(header: string): string; close(header: string): void };
}

/** What the instances of one generation share; `signal` ends when it is recycled. */
export interface InstanceContext {
  readonly chosen: ChosenStart;
  readonly dependencies: InstanceDependencies;
  readonly signal: AbortSignal;
}

/** Names that stay the same over restarts. */
export interface InstanceName {
  /** 64 hex digits, as in ARM's `instances` and the affinity cookie. */
  readonly id: string;
  readonly machine: string;
}

/** One container of a site. */
export interface Instance extends InstanceName {
  readonly port: number;
  /** Of the identity endpoint, when the site has an identity. */
  readonly header: string | undefined;
  readonly context: InstanceContext;
  process: RunningProcess | undefined;
  /** It answered its probe and has not ended since. */
  isUp: boolean;
  isStopping: boolean;
}

const STOP_GRACE_SECONDS = 5;
const PROBE_EVERY_MS = 60;
const FIRST_BACKOFF_MS = 1_000;
const LAST_BACKOFF_MS = 60_000;
/** A container that lived this long is restarted at once. */
const STABLE_MS = 60_000;

export function instanceName({ siteId }: AppDescription, index: number): InstanceName {
  const id = createHash("sha256").update(`${siteId.toLowerCase()}#${index}`).digest("hex");
  return { id, machine: `lw${index}sdlwk${id.slice(0, 6)}` };
}

export async function newInstance(index: number, context: InstanceContext): Promise<Instance> {
  const { app } = context.chosen;
  return {
    ...instanceName(app, index),
    port: await freePort(),
    header: app.hasIdentity ? randomUUID() : undefined,
    context,
    process: undefined,
    isUp: false,
    isStopping: false,
  };
}

/** Starts the container and waits for its probe. Resolves with the reason of a failure, `undefined` when it is up. */
export async function startInstance(instance: Instance): Promise<string | undefined> {
  const { chosen, signal, dependencies } = instance.context;
  const begun = dependencies.clock.now();
  instance.isUp = false;
  say(instance, "Container start method called.", `Pulling image: ${chosen.start.image}_20260203.2.tuxprod.`);
  try {
    instance.process = await startContainer(instance);
  } catch (error) {
    say(instance, `Container start failed: ${(error as Error).message}`);
    return (error as Error).message;
  }
  if (instance.isStopping || signal.aborted) {
    await instance.process.stop(0);
    return "recycled";
  }
  say(instance, "Container is running.", `Container start method finished after ${dependencies.clock.now() - begun} ms.`);
  return await warmUp(instance, instance.process, begun);
}

function startContainer({ id, machine, port, header, context }: Instance): Promise<RunningProcess> {
  const { app, image, start } = context.chosen;
  const { log, store, identity } = context.dependencies;
  const owner = { id, machine, port, ...(header ? { identity: { endpoint: identity.open(header), header } } : {}) };
  return startProcess(
    {
      owner: app.siteId,
      command: "/bin/sh",
      args: ["-c", start.command],
      cwd: app.appFolder,
      env: buildEnvironment(app, owner, image, context.dependencies),
      onOutput: (chunk) => log.output(machine, chunk),
    },
    store,
  );
}

async function warmUp(instance: Instance, running: RunningProcess, begun: number): Promise<string | undefined> {
  const { app, start } = instance.context.chosen;
  const { clock, log, startLimitMs } = instance.context.dependencies;
  say(instance, "State: Starting, Action: WaitingForSiteWarmUpProbeSuccess, LastError: , Details: ");
  const limitMs = startLimitMs(Number(app.appSettings.WEBSITES_CONTAINER_START_TIME_LIMIT) || undefined);
  const failure = await waitForProbe(instance, running, limitMs);
  const seconds = ((clock.now() - begun) / 1000).toFixed(2);
  log.flush(instance.machine);
  if (failure === undefined) {
    instance.isUp = true;
    say(instance, `Site startup probe succeeded after ${seconds} seconds.`, "Site started.");
    say(instance, `Site is running with patch version ${start.version}`);
    return undefined;
  }
  if (failure.kind !== "recycled") say(instance, ...failureLines(failure, app.siteName, seconds, limitMs));
  await running.stop(STOP_GRACE_SECONDS * 1000);
  return failure.kind;
}

type ProbeFailure = { readonly kind: "exited"; readonly code: number } | { readonly kind: "timeout" };

/** Asks the image's probe until it is content. */
async function waitForProbe(
  { port, context: { chosen, dependencies, signal } }: Instance,
  running: RunningProcess,
  limitMs: number,
): Promise<ProbeFailure | { readonly kind: "recycled" } | undefined> {
  const { clock } = dependencies;
  const deadline = clock.now() + limitMs;
  let exited: ProbeFailure | undefined;
  const ending = running.ended.then((code) => {
    exited = { kind: "exited", code };
  });
  for (;;) {
    if (signal.aborted) return { kind: "recycled" };
    if (exited) return exited;
    if (await chosen.image.probe(port)) return undefined;
    if (clock.now() >= deadline) return { kind: "timeout" };
    await Promise.race([ending, clock.sleep(PROBE_EVERY_MS)]);
  }
}

function failureLines(failure: ProbeFailure, siteName: string, seconds: string, limitMs: number): readonly string[] {
  const failed = `Site startup probe failed after ${seconds} seconds.`;
  const lines =
    failure.kind === "exited"
      ? [endedWith(failure.code), `Site container: ${siteName} terminated during site startup.`, failed]
      : [
          `State: Stopping, Action: StoppingSiteContainers, LastError: ContainerTimeout, Details: ${failed}`,
          `Container did not start within expected time limit of ${Math.round(limitMs / 1000)}s.`,
        ];
  return [...lines, "Failed to start site. Revert by stopping site."];
}

/** Restarts an instance whenever it ends, with growing pauses, until its generation is cancelled. */
export async function keepUp(instance: Instance): Promise<void> {
  const { signal, dependencies } = instance.context;
  const { clock, log } = dependencies;
  let backoffMs = FIRST_BACKOFF_MS;
  let since = clock.now();
  while (!signal.aborted) {
    if (instance.isUp && instance.process) {
      const code = await instance.process.ended;
      log.flush(instance.machine);
      if (signal.aborted || instance.isStopping) return;
      instance.isUp = false;
      say(instance, endedWith(code));
      if (clock.now() - since > STABLE_MS) backoffMs = FIRST_BACKOFF_MS;
    }
    try {
      await clock.sleep(backoffMs, signal);
    } catch {
      return; // cancelled
    }
    backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
    since = clock.now();
    await startInstance(instance);
  }
}

/** `appSettings`: the site's of now. */
export async function stopInstance(instance: Instance, appSettings: AppDescription["appSettings"]): Promise<void> {
  const { log, identity } = instance.context.dependencies;
  instance.isStopping = true;
  const wanted = Number(appSettings.WEBSITES_CONTAINER_STOP_TIME_LIMIT);
  const seconds = wanted > 0 ? Math.min(wanted, 120) : STOP_GRACE_SECONDS;
  await instance.process?.stop(seconds * 1000);
  instance.isUp = false;
  log.flush(instance.machine);
  if (instance.header) identity.close(instance.header);
}

function say({ machine, context }: Instance, ...lines: readonly string[]): void {
  context.dependencies.log.write(machine, "docker", ...lines);
}

function endedWith(code: number): string {
  return `Container has finished running with exit code: ${code}.`;
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
