import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StartOutcome } from "../../machines/app/host.ts";
import type { BuildLog, BuildLogEntry } from "../../machines/build/log.ts";
import { BuildFailure } from "../../machines/build/request.ts";
import { BadArchive } from "../../machines/build/unzip.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { createDeploymentLogs, type DeploymentLogs } from "./deployment-logs.ts";
import {
  afterDeploymentEvent,
  type Deployment,
  type DeploymentEvent,
  isComplete,
  type Push,
  RECYCLED,
  received,
  terminalPhases,
} from "./model.ts";
import { type PackageUse, savePackage } from "./package.ts";
import { makeRelease } from "./release.ts";
import type { ScmSubject } from "./subject.ts";

/** A deployment that was begun; `done` tells how it ended. */
interface Begun {
  readonly id: string;
  readonly done: Promise<Deployment>;
}

/** The deployments of one site, newest first. */
export interface Deployments {
  list(): readonly Deployment[];
  find(id: string): Deployment | undefined;
  /** The newest as `latest` shows it; counts as a view of the temporary object. */
  latest(): { readonly deployment: Deployment; readonly isTemporary: boolean } | undefined;
  isDeploying(): boolean;
  /** Takes the lock, stores the package and deploys in the background. `undefined` while another deployment holds the lock. */
  push(push: Push, body: ReadableStream<Uint8Array> | null, signal: AbortSignal, use?: PackageUse): Promise<Begun | undefined>;
  log(id: string): readonly BuildLogEntry[] | undefined;
  /** The SCM container restarts: what is in flight dies. */
  interrupt(): void;
  /** Takes up what a `kill -9` left. `started` tells how the site came up. */
  resume(started: Promise<StartOutcome | undefined>): void;
  /** Breaks off what is in flight and waits for its end. */
  close(): Promise<void>;
}

/** Recorded: 8.4 min from upload to running, of which the build is the greater part. */
const RECORDED_BUILD_MS = 240_000;
const RECORDED_START_MS = 210_000;

interface Context {
  readonly platform: Platform;
  readonly subject: () => ScmSubject;
  /** Makes a release folder the site's content. */
  readonly activate: (folder: string) => Promise<StartOutcome | undefined>;
  readonly rows: Collection<Deployment>;
  readonly logs: DeploymentLogs;
  /** Waits for containers to come up. */
  readonly runtimeWaits: Set<Promise<void>>;
  readonly closing: AbortController;
  isLocked: boolean;
  inFlight: (Begun & { readonly abort: AbortController }) | undefined;
}

export function createDeployments(
  platform: Platform,
  subject: () => ScmSubject,
  activate: (folder: string) => Promise<StartOutcome | undefined>,
): Deployments {
  const context: Context = {
    platform,
    subject,
    activate,
    rows: platform.store.collection("web/deployments"),
    logs: createDeploymentLogs(() => subject().folder, platform.clock),
    runtimeWaits: new Set(),
    closing: new AbortController(),
    isLocked: false,
    inFlight: undefined,
  };
  const { logs } = context;
  return {
    list: () => listOf(context).reverse(),
    find: (id) => find(context, id),
    latest: () => latest(context),
    isDeploying: () => context.isLocked,
    push: (push, body, signal, use = { keepsFiles: false }) => beginPush(context, push, use, (file) => savePackage(body, file, signal)),
    log: (id) => (find(context, id) ? logs.read(id) : undefined),
    interrupt: () => context.inFlight?.abort.abort(new Error("SCM container restart")),
    resume: (started) => {
      for (const deployment of listOf(context)) resume(context, deployment, started);
    },
    close: async () => {
      context.inFlight?.abort.abort(new Error("local Azure ends"));
      context.closing.abort(new Error("local Azure ends"));
      await context.inFlight?.done.catch(() => {});
      await Promise.all(context.runtimeWaits);
    },
  };
}

/** Oldest first. */
function listOf({ rows, subject }: Context): Deployment[] {
  return rows.list(`${subject().siteId}/`);
}

function find({ rows, subject }: Context, id: string): Deployment | undefined {
  return rows.get(`${subject().siteId}/${id}`);
}

function put({ rows, subject }: Context, deployment: Deployment): void {
  rows.set(`${subject().siteId}/${deployment.id}`, deployment);
}

/** Puts and keeps it: nobody's answer commits what happens in the background. */
function save(context: Context, deployment: Deployment): Deployment {
  put(context, deployment);
  context.platform.store.commit();
  return deployment;
}

function change(context: Context, id: string, by: (before: Deployment) => Deployment): Deployment {
  const before = find(context, id);
  if (!before) throw new Error(`deployment ${id} is gone`);
  return save(context, by(before));
}

function apply(context: Context, id: string, event: DeploymentEvent): Deployment {
  return change(context, id, (before) => afterDeploymentEvent(before, event));
}

function now({ platform }: Context): string {
  return new Date(platform.clock.now()).toISOString();
}

function latest(context: Context): ReturnType<Deployments["latest"]> {
  const deployment = listOf(context).at(-1);
  if (!deployment) return undefined;
  const isTemporary = !isComplete(deployment) && deployment.tempViews > 0;
  if (isTemporary) put(context, { ...deployment, tempViews: deployment.tempViews - 1 });
  return { deployment, isTemporary };
}

async function beginPush(
  context: Context,
  push: Push,
  use: PackageUse,
  savePackage: (file: string) => Promise<void>,
): Promise<Begun | undefined> {
  const { platform, subject } = context;
  if (context.isLocked) return undefined;
  context.isLocked = true;
  try {
    const deployment = received(subject().siteId, push, now(context));
    const { id } = deployment;
    const file = join(subject().folder, "tmp", `${id}.zip`);
    await savePackage(file);
    save(context, deployment);
    const abort = new AbortController();
    const done = deploy(context, id, { file, use, signal: abort.signal }).finally(() => {
      context.inFlight = undefined;
      context.isLocked = false;
    });
    done.catch((error: unknown) => platform.log(`deployment ${id}: ${String(error)}`));
    context.inFlight = { id, abort, done };
    return { id, done };
  } catch (error) {
    context.isLocked = false;
    throw error;
  }
}

async function deploy(
  context: Context,
  id: string,
  { file, use, signal }: { readonly file: string; readonly use: PackageUse; readonly signal: AbortSignal },
): Promise<Deployment> {
  const { platform, logs } = context;
  const site = context.subject();
  const log = logs.begin(id);
  const folder = join(site.folder, "releases", id);
  try {
    const recorded = restOf(context, RECORDED_BUILD_MS);
    apply(context, id, { kind: "building" });
    const active = listOf(context).find(({ isActive }) => isActive);
    const activeFolder = active && join(site.folder, "releases", active.id);
    const progress = (text: string): void => void change(context, id, (before) => ({ ...before, progress: text }));
    await makeRelease({ platform, site, folder, file, use, activeFolder, log, signal, progress });
    await platform.clock.sleep(recorded(), signal);
    signal.throwIfAborted();
    log.say("Triggering recycle (preview mode disabled).");
    log.say(`Deployment successful. deployer = ${find(context, id)?.deployer} deploymentPath = ZipDeploy. Extract zip.`);
    logs.end(id);
    return activateRelease(context, id, folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    return endFailed(context, id, log, signal.aborted ? RECYCLED : error);
  } finally {
    await rm(file, { force: true });
  }
}

function activateRelease(context: Context, id: string, folder: string): Deployment {
  for (const other of listOf(context)) if (other.id !== id && other.isActive) put(context, { ...other, isActive: false });
  const done = apply(context, id, { kind: "built", at: now(context) });
  awaitRuntime(context, id, context.activate(folder));
  return done;
}

/** `why`: the error, or the text of what broke it off. */
function endFailed(context: Context, id: string, log: BuildLog, why: unknown): Deployment {
  const isKnown = why instanceof BuildFailure || why instanceof BadArchive;
  const at = now(context);
  if (typeof why === "string") {
    log.say(why, 2);
    context.logs.end(id);
    return apply(context, id, { kind: "aborted", at, text: why });
  }
  if (!isKnown) context.platform.log(`deployment ${id}: ${String(why)}`);
  const text = isKnown ? why.message : "Deployment Failed.";
  log.say(`Deployment Failed. ${why instanceof BadArchive ? "Malformed zip: " : ""}${text}`, 2);
  context.logs.end(id);
  return apply(context, id, { kind: "build-failed", at, text });
}

/** Waits in the background until the containers are up, or are not. */
function awaitRuntime(context: Context, id: string, starting: Promise<StartOutcome | undefined>): void {
  const { platform, closing, runtimeWaits } = context;
  const end = (event: DeploymentEvent): void => {
    if (find(context, id)) apply(context, id, event);
  };
  const wait = (async () => {
    const recorded = restOf(context, RECORDED_START_MS);
    const outcome = await starting;
    await platform.clock.sleep(recorded(), closing.signal);
    if (outcome) end(toEvent(outcome));
  })()
    .catch((error: unknown) => {
      if (closing.signal.aborted) return;
      platform.log(`deployment ${id}: ${String(error)}`);
      end({ kind: "start-failed", failed: 1 });
    })
    .finally(() => runtimeWaits.delete(wait));
  runtimeWaits.add(wait);
}

function toEvent({ successful, failed }: StartOutcome): DeploymentEvent {
  return failed > 0 && successful === 0 ? { kind: "start-failed", failed } : { kind: "started", successful, failed };
}

/** What will be left of a recorded duration that begins now: the work done here in the meantime is part of it. */
function restOf({ platform }: Context, recordedMs: number): () => number {
  const dueAt = platform.clock.now() + platform.operations.scaledMs(recordedMs);
  return () => Math.max(0, dueAt - platform.clock.now());
}

function resume(context: Context, deployment: Deployment, started: Promise<StartOutcome | undefined>): void {
  const { id, phase } = deployment;
  if (!isComplete(deployment)) endFailed(context, id, context.logs.begin(id), RECYCLED);
  else if (!terminalPhases.includes(phase)) awaitRuntime(context, id, started);
}
