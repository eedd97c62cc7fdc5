import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { isLongPause } from "../base/transient.ts";
import { describeStatus, type SiteClient } from "../cloud/app-service/site-client.ts";
import type { Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import type { Deployment, DeploymentLogEntry } from "../cloud/scm/deployments.ts";
import type { ScmSite } from "../cloud/scm/scm-site.ts";
import { type AnyStep, defineStep, type Needs, type Step } from "../engine/step.ts";
import { excerptErrors } from "../logs/error-excerpt.ts";
import type { Package } from "../package/pack.ts";

/** Tag on the web app with the hash of the package that runs on it. A tag, because writing one restarts nothing. */
const packageTag = "passwordless-pg-package";
/** Tag with the ID of the deployment that brought it. */
const deploymentTag = "passwordless-pg-deployment";

/** What runs on the site, as far as its tags say. */
export interface Deployed {
  readonly packageHash: string;
  readonly deploymentId: string;
}

export interface DeploymentContext {
  readonly adapter: SiteAdapter;
  scmSite(site: Site): ScmSite;
  site(site: Site): SiteClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Lines of the build log and what is waited for. */
  onDetail(text: string): void;
}

export interface DesiredDeployment {
  readonly label: string;
  readonly package: () => Promise<Package>;
  /** Path that must answer below 500 once the new code runs; empty: any answer of the site counts. */
  readonly health: string;
}

/** A build on Azure takes 1 to 9 minutes, the start of the new container up to 4 more (recordings). */
const buildDeadlineMs = 20 * 60_000;
/**
 * How often is asked at most. The build's log is shown while it grows, so more often than az, which asks each 2 s without it; ARM's state of the
 * start (az: each 15 s; 15 to 210 s recorded) a tenth of the time late at most; the app itself costs Azure nothing.
 */
const pauses = {
  build: { longestMs: 5_000, part: 20 },
  start: { longestMs: 10_000, part: 10 },
  health: { longestMs: 1_500, part: 20 },
} as const;
/** An accepted deployment shows up at once (recordings); one that stays unknown was lost with its container. */
const unknownDeploymentMs = 2 * 60_000;
const startDeadlineMs = 15 * 60_000;
const healthDeadlineMs = 5 * 60_000;
/** Of the app's log, for the message of a failed start. */
const logLines = 30;
const logBytes = 512 * 1024;
const logReadMs = 20_000;

/** What runs and what should: `running` is absent when this tool has deployed nothing yet. */
export interface DeploymentState {
  readonly running?: Deployed;
  readonly wantedHash: string;
}

/** Everything whose write recycles the SCM site. */
export interface DeploymentNeeds extends Needs {
  readonly site: Step<Site>;
  readonly configuration: AnyStep;
  readonly publishing: AnyStep;
  readonly logs: AnyStep;
  readonly settings: AnyStep;
}

/** The app's code on the web app, after everything that recycles the SCM site. Unchanged package: nothing is uploaded. */
export const deployment = (desired: DesiredDeployment, context: DeploymentContext, needs: DeploymentNeeds) => {
  let hasDeployed = false;
  return defineStep<DeploymentState, typeof needs>({
    name: `deployment ${desired.label}`,
    needs,
    lane: `site ${desired.label}`,
    read: async ({ site }) => {
      const current = hasDeployed ? await context.adapter.get() : site;
      const running = deployedOn(current ?? site);
      return { ...(running ? { running } : {}), wantedHash: (await desired.package()).sha256 };
    },
    plan: (observed) => {
      if (!observed?.running) return { kind: "create" };
      if (observed.running.packageHash === observed.wantedHash) return { kind: "keep" };
      const short = (hash: string): string => hash.slice(0, 12);
      return {
        kind: "update",
        differences: [{ field: "package", observed: short(observed.running.packageHash), desired: short(observed.wantedHash) }],
      };
    },
    apply: async (_change, { site }) => {
      hasDeployed = true;
      await deploy(desired, context, site);
    },
  });
};

/** What the tags of the site say; `undefined` when nothing was deployed with this tool. */
export function deployedOn(site: Site): Deployed | undefined {
  const packageHash = site.tags[packageTag];
  return packageHash ? { packageHash, deploymentId: site.tags[deploymentTag] ?? "" } : undefined;
}

/** Uploads, builds, starts, and returns once the new code answers. */
export async function deploy(
  desired: DesiredDeployment,
  context: DeploymentContext,
  site: Site,
): Promise<Deployed & { uploadedBytes: number }> {
  const scm = context.scmSite(site);
  const packed = await desired.package();
  context.onDetail("waking the SCM site");
  await scm.warmUp();
  // From here on the old package may be gone, whatever becomes of the new one: a failed deployment must not be taken for the old one.
  await forgetDeployed(context, site);
  let uploadedBytes = 0;
  for (let attempt = 1; ; attempt += 1) {
    const { deploymentId, bytes } = await upload(scm, packed, context);
    uploadedBytes += bytes;
    const outcome = await followBuild(scm, deploymentId, context);
    if (outcome.isOk) {
      await followStart(deploymentId, context, site, scm);
      await waitForHealth(desired.health, context, site, scm);
      const current = (await context.adapter.get()) ?? site;
      await context.adapter.update({
        tags: { ...current.tags, [packageTag]: packed.sha256, [deploymentTag]: deploymentId },
      });
      return { packageHash: packed.sha256, deploymentId, uploadedBytes };
    }
    if (!outcome.wasInterrupted || attempt === 2) throw outcome.error;
    context.onDetail("the SCM site was restarted during the build; deploying once more");
  }
}

async function forgetDeployed(context: DeploymentContext, site: Site): Promise<void> {
  const current = (await context.adapter.get()) ?? site;
  const { [packageTag]: hash, [deploymentTag]: id, ...tags } = current.tags;
  if (hash !== undefined || id !== undefined) await context.adapter.update({ tags });
}

async function upload(scm: ScmSite, packed: Package, context: DeploymentContext): Promise<{ deploymentId: string; bytes: number }> {
  const deadline = context.clock.now() + buildDeadlineMs;
  for (;;) {
    let bytes = 0;
    const count = (chunk: Uint8Array): void => {
      bytes += chunk.length;
    };
    try {
      context.onDetail(`uploading ${packed.files} files`);
      const { deploymentId } = await scm.zipDeploy({ stream: () => packed.stream().on("data", count) });
      return { deploymentId, bytes };
    } catch (error) {
      if (
        !(error instanceof KnownError) ||
        (error.code !== "azure/busy" && error.code !== "azure/conflict") ||
        isLongPause(error) ||
        context.clock.now() > deadline
      )
        throw error;
      context.onDetail("another deployment is running; waiting for its end");
      await until(context, deadline, pauses.build, async () => !(await scm.isDeploying()));
    }
  }
}

type BuildOutcome = { readonly isOk: true } | { readonly isOk: false; readonly wasInterrupted: boolean; readonly error: KnownError };

/** Streams the build log and waits for the end of *this* deployment: `latest` may still be somebody else's. */
async function followBuild(scm: ScmSite, id: string, context: DeploymentContext): Promise<BuildOutcome> {
  const shown = new Set<string>();
  const deadline = context.clock.now() + buildDeadlineMs;
  const unknownUntil = context.clock.now() + unknownDeploymentMs;
  let wasSeen = false;
  let ended: Deployment | undefined;
  await until(context, deadline, pauses.build, async () => {
    const [mine, entries] = await Promise.all([scm.getDeployment(id), scm.listLog(id)]);
    if (!mine && !wasSeen && context.clock.now() > unknownUntil) {
      throw new KnownError("deploy/interrupted", `the SCM site knows no deployment ${id}`, { hint: "run `passwordless-pg deploy` again" });
    }
    wasSeen ||= mine !== undefined;
    for (const entry of entries) {
      if (!shown.has(entry.id)) context.onDetail(entry.message);
      shown.add(entry.id);
    }
    ended = mine?.isComplete ? mine : undefined;
    return ended !== undefined;
  });
  if (!ended)
    throw new KnownError("deploy/build-failed", `deployment ${id} did not end within ${buildDeadlineMs / 60_000} minutes`, {
      hint: "`passwordless-pg logs tail` shows what the build prints; deploy again when it has ended",
    });
  if (ended.status === "succeeded") return { isOk: true };
  const reason = await buildFailure(scm, id);
  const wasInterrupted = /SCM container restart/i.test(`${ended.statusText} ${ended.message} ${reason}`);
  const error = new KnownError("deploy/build-failed", `the build of deployment ${id} failed${reason ? `:\n${reason}` : ""}`, {
    hint: wasInterrupted
      ? "something else changed the web app during the build; deploy again"
      : "correct what the log names and run `passwordless-pg deploy` again",
  });
  return { isOk: false, wasInterrupted, error };
}

/** The part of the build log that says why: errors with their details, else the last lines of the last details. */
async function buildFailure(scm: ScmSite, id: string): Promise<string> {
  const entries = await scm.listLog(id);
  const detailed: { entry: DeploymentLogEntry; details: readonly DeploymentLogEntry[] }[] = await Promise.all(
    entries.map(async (entry) => ({ entry, details: entry.hasDetails ? await scm.listLogDetails(id, entry.id) : [] })),
  );
  const all = detailed.flatMap(({ entry, details }) => [entry, ...details]);
  const lines = all
    .flatMap(({ message }) => message.split(/\r?\n|\\n/))
    .map((line) => line.trimEnd())
    .filter(Boolean);
  const telling = lines.filter((line) => /\b(error|failed|cannot|no matching|not found|exception|traceback|npm err)/i.test(line));
  return (telling.length > 0 ? telling : lines)
    .slice(-15)
    .map((line) => `  ${line}`)
    .join("\n");
}

async function followStart(id: string, context: DeploymentContext, site: Site, scm: ScmSite): Promise<void> {
  const unknownUntil = context.clock.now() + 60_000;
  let last = "";
  await until(context, context.clock.now() + startDeadlineMs, pauses.start, async () => {
    const status = await context.adapter.deploymentStatus(id);
    if (!status) return context.clock.now() > unknownUntil; // ARM does not track it: the health path decides
    if (status.status !== last) context.onDetail(status.status);
    last = status.status;
    if (!status.isTerminal || status.isOk) return status.isOk;
    const why = status.errors.map(({ message }) => message).join("; ");
    throw new KnownError(
      "deploy/start-failed",
      `the new code of ${site.name} did not start (${status.status})${await lastLines(scm, context)}`,
      {
        ...(why ? { cause: new Error(why) } : {}),
        hint: "`passwordless-pg logs tail` shows what the app prints at its start",
      },
    );
  });
}

async function waitForHealth(path: string, context: DeploymentContext, site: Site, scm: ScmSite): Promise<void> {
  const client = context.site(site);
  let answer = "no answer";
  context.onDetail(`waiting for ${path || "/"} to answer`);
  const isUp = await until(context, context.clock.now() + healthDeadlineMs, pauses.health, async () => {
    const response = await client.get(path || "/").catch((error: unknown) => {
      if (context.signal.aborted) throw error;
      answer = error instanceof Error ? error.message : String(error);
      return undefined;
    });
    if (response) answer = describeStatus(response);
    return response !== undefined && (path ? response.status >= 200 && response.status < 300 : response.status < 500);
  });
  if (isUp) return;
  throw new KnownError(
    "deploy/start-failed",
    `${site.url}${path || "/"} does not answer as it should (last: ${answer})${await lastLines(scm, context)}`,
    {
      hint: '`passwordless-pg logs tail` shows what the app prints; the project file\'s "health" is the path that is asked',
    },
  );
}

/** What the app said of its failed start, for the error message: the telling lines of its log file, else the last ones of the stream. */
async function lastLines(scm: ScmSite, context: DeploymentContext): Promise<string> {
  const lines = (await fromLogFile(scm, context)) ?? (await fromLogStream(scm, context));
  return lines.length > 0 ? `:\n${lines.map((line) => `  ${line}`).join("\n")}` : "";
}

/** `undefined` when there is no such file, or none that can be read now: the message is better without its lines than not at all. */
async function fromLogFile(scm: ScmSite, context: DeploymentContext): Promise<readonly string[] | undefined> {
  try {
    const path = await scm.newestAppLog();
    if (path === undefined) return undefined;
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(logReadMs)]);
    const { bytes } = await scm.readLogFile(path, { lastBytes: logBytes, signal });
    const lines = excerptErrors(Buffer.from(bytes).toString("utf8").split(/\r?\n/), logLines);
    return lines.length > 0 ? lines : undefined;
  } catch (error) {
    if (context.signal.aborted || !(error instanceof KnownError)) throw error;
    return undefined;
  }
}

/** The tail that the log stream begins with. */
async function fromLogStream(scm: ScmSite, context: DeploymentContext): Promise<readonly string[]> {
  const limit = AbortSignal.any([context.signal, AbortSignal.timeout(4_000)]);
  let text = "";
  try {
    for await (const chunk of await scm.openLogStream(limit)) {
      text += Buffer.from(chunk).toString("utf8");
      if (text.length > 64_000 || text.includes("Starting Live Log Stream")) break;
    }
  } catch (error) {
    if (context.signal.aborted) throw error;
    // the message is better without these lines than not at all
  }
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line && !/Log (Tail|Stream)|log-streaming service|^\/.*\(http/.test(line))
    .slice(-20);
}

/** Asks again and again, slower the longer it takes; false when the deadline came first. */
async function until(
  { clock, signal }: DeploymentContext,
  deadline: number,
  { longestMs, part }: { readonly longestMs: number; readonly part: number },
  isDone: () => Promise<boolean>,
): Promise<boolean> {
  const started = clock.now();
  while (clock.now() < deadline) {
    if (await isDone()) return true;
    const elapsedMs = clock.now() - started;
    const interval = Math.min(elapsedMs / 4, Math.max(1_000, elapsedMs / part), longestMs);
    await clock.sleep(Math.max(200, interval), signal);
  }
  return false;
}
