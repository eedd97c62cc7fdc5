import { readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, join, resolve } from "node:path";
import type { TokenCredential } from "@azure/core-auth";
import { type Clock, systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { CloudContext } from "../cloud/connection.ts";
import type { Environment } from "../cloud/environment.ts";
import { createFirewallAccess, type FirewallAccess } from "../cloud/firewall-access.ts";
import { detectApp } from "../project/detect.ts";
import { type FoundProject, findProject, type ProjectFile } from "../project/file.ts";
import { projectNameFrom, suffixFrom } from "../project/names.ts";
import { schemaReference } from "../project/schema-copy.ts";
import { createSetup, type Setup } from "../project/setup.ts";
import type { DetectedApp, SiteSetup } from "../project/site-setup.ts";
import { validateProject } from "../project/validate.ts";
import { cleanupJournal } from "./cleanup-journal.ts";
import { homeFolder } from "./home-folder.ts";
import type { GlobalOptions, Io } from "./io.ts";
import { showError } from "./output/error.ts";
import { withRunLock } from "./run-lock.ts";
import { isStop, nothingChanged } from "./stop-signal.ts";

/** The project a command works on, before any cloud is asked. */
export interface Project {
  readonly found: FoundProject;
  readonly file: ProjectFile;
  readonly setup: Setup;
  /** Writes the names back that were chosen for it: before anything is created under them, and not before the person has agreed. */
  readonly save?: () => Promise<void>;
}

export interface NewProjectOptions {
  readonly name?: string;
  readonly location?: string;
  readonly resourceGroup?: string;
}

/** Reads the project of a folder. Without a project file: a new one from the flags when `allowNew`, else "project/missing". */
export async function openProject(
  io: Io,
  directory: string,
  options: GlobalOptions & NewProjectOptions,
  allowNew: boolean,
): Promise<Project> {
  const found = await findProject(resolve(io.directory, directory), options.config && resolve(io.directory, options.config));
  if (found.content === undefined && !allowNew) {
    throw new KnownError("project/missing", `there is no passwordless-pg.json in ${found.folder}`, {
      hint: "run `passwordless-pg init` there, or name another folder",
    });
  }
  if (found.content === undefined) await requireFolder(found.folder);
  const content = found.content === undefined ? await newFile(io, found.folder, options) : found.content;
  const detected = await detectAll(content, found.folder);
  const setup = createSetup(content, {
    folder: found.folder,
    environment: options.env,
    suffix: suffixFrom(`${hostname()}\n${found.folder}\n${options.env ?? ""}`),
    detected,
    validate: validateProject,
  });
  const file = content as ProjectFile;
  return { found, file: found.content === undefined ? withDetected(file, setup, detected) : file, setup };
}

async function requireFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new KnownError("project/missing", found ? `${folder} is not a folder` : `folder ${folder} does not exist`, {
    hint: "name the folder of your app",
  });
}

/** The options of a new project, with what the person answers where they say nothing. */
export async function askForProject<O extends GlobalOptions & NewProjectOptions>(
  io: Io,
  folder: string,
  options: O,
): Promise<O & { readonly name: string; readonly location: string }> {
  const ask = (question: string, preset: string): Promise<string> => (options.yes ? Promise.resolve(preset) : io.ask(question, preset));
  const name = options.name ?? (await ask("Project name", projectNameFrom(basename(folder))));
  const location = options.location ?? (await ask("Azure region", "eastus"));
  return { ...options, name, location };
}

async function newFile(io: Io, folder: string, options: GlobalOptions & NewProjectOptions): Promise<ProjectFile> {
  const { name, location } = await askForProject(io, folder, options);
  return {
    $schema: schemaReference,
    name,
    location,
    ...(options.resourceGroup ? { resourceGroup: options.resourceGroup } : {}),
    apps: { api: { path: "." } },
  };
}

/** A new file says what was found in the folder, so that it can be seen and changed. */
function withDetected(file: ProjectFile, setup: Setup, detected: Readonly<Record<string, DetectedApp>>): ProjectFile {
  const apps = Object.fromEntries(
    setup.sites.map((app) => [app.label, { ...file.apps?.[app.label], access: app.access, ...detected[app.label] }]),
  );
  return { ...file, database: setup.database, apps };
}

async function detectAll(content: unknown, folder: string): Promise<Record<string, DetectedApp>> {
  const apps = (content as { apps?: Record<string, { path?: unknown } | null> } | null)?.apps ?? { api: {} };
  if (typeof apps !== "object") return {};
  const entries = Object.entries(apps).map(async ([key, app]) => {
    const path = typeof app?.path === "string" ? app.path : ".";
    return [key, await detectApp(resolve(folder, path))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** A project together with the cloud it lives in. */
export interface Session extends Project {
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  /** What Azure has warned of in this session, each once. */
  readonly azureWarnings: ReadonlySet<string>;
  /** Gives back what was borrowed. Call on every way out. */
  close(): Promise<void>;
}

/** Giving back may meet a server that is busy for minutes. */
const cleanupMs = 10 * 60_000;

/** Signs in and opens the adapters. */
async function openSession(io: Io, options: GlobalOptions, project: Project): Promise<Session> {
  const azureWarnings = new Set<string>();
  const onWarning = (warning: string): void => void azureWarnings.add(warning);
  const { context, cloud, signInFor } = await connect(io, options, project.setup.server.version, onWarning);
  const firewallAccess = createFirewallAccess({
    servers: cloud.postgresServers,
    openServersForCleanup: async () => {
      const { openCloud } = await import("../cloud/cloud.ts");
      const signal = AbortSignal.timeout(cleanupMs);
      return (await openCloud({ ...context, signal, credential: await signInFor(signal) })).postgresServers;
    },
    group: project.setup.resourceGroup,
    callerId: cloud.caller.objectId,
    owner: project.setup.owner,
    clock: systemClock,
    signal: io.signal,
    notes: cleanupJournal([cloud.subscriptionId, project.setup.resourceGroup, project.setup.owner].join("/")),
    onNote: io.note,
  });
  // Once at a time: the run's last net may want it while the session is about it.
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= firewallAccess.revoke().finally(() => {
      closing = undefined;
    });
    return closing;
  };
  return { ...project, cloud, firewallAccess, clock: systemClock, azureWarnings, close };
}

/** Runs a command's work within a session, and gives back what it borrowed on every way out. */
export async function withSession<T>(io: Io, options: GlobalOptions, project: Project, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await openSession(io, options, project);
  const isClosed = io.atLast(session.close);
  let result: T;
  try {
    result = await work(session);
  } catch (error) {
    // What went wrong first is what the person is told; what could not be given back stands beside it.
    await session.close().catch((unclosed: unknown) => void showError(unclosed, { ...io, isJson: false }));
    isClosed();
    throw error;
  }
  await session.close();
  isClosed();
  return result;
}

/** As `withSession`, for a command that changes the project: while another one of this user does, it waits. */
export async function withChangingSession<T>(
  io: Io,
  options: GlobalOptions,
  project: Project,
  command: string,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let hasBegun = false;
  const locked = (session: Session): Promise<T> => {
    const { cloud, clock, setup } = session;
    const name = [cloud.subscriptionId, setup.resourceGroup, setup.owner].join("/");
    return withRunLock(io, { project: name, command, clock }, () => {
      hasBegun = true;
      return work(session);
    });
  };
  try {
    return await withSession(io, options, project, locked);
  } catch (error) {
    throw !hasBegun && isStop(error, io.signal) ? nothingChanged(io.signal) : error;
  }
}

interface Connection {
  readonly context: CloudContext;
  readonly cloud: Cloud;
  /** The same credential for work that goes on after the run was cancelled. */
  signInFor(signal: AbortSignal): Promise<TokenCredential>;
}

async function connect(io: Io, options: GlobalOptions, postgresVersion: string, onWarning: (warning: string) => void): Promise<Connection> {
  const name = options.local ? "local" : (options.cloud ?? io.environment.PASSWORDLESS_PG_CLOUD ?? "public");
  const signal = io.signal;
  const [{ openCloud }, { signIn }] = await Promise.all([import("../cloud/cloud.ts"), import("../cloud/credential.ts")]);
  if (name === "local") {
    const { ensureLocal } = await import("./commands/local.ts");
    const { environment, settings, subscriptionId } = await ensureLocal(io, postgresVersion);
    const credential = await signIn(environment, settings, signal);
    const context = { environment, credential, subscriptionId, signal, clock: systemClock, onWarning, onNote: io.note };
    const signInFor = (other: AbortSignal) => signIn(environment, settings, other, credential);
    return { context, cloud: await openCloud(context), signInFor };
  }
  const { environments } = await import("../cloud/environment.ts");
  if (!(name in environments)) {
    throw new KnownError("usage/invalid", `there is no cloud named "${name}"`, { hint: "public, usgov, china or local" });
  }
  const environment: Environment = environments[name as keyof typeof environments];
  const tenantId = io.environment.AZURE_TENANT_ID;
  const clientId = io.environment.AZURE_CLIENT_ID; // the user-assigned identity of the machine this runs on, as for Azure's own tools
  const settings = { ...(tenantId && { tenantId }), ...(clientId && { clientId }) };
  const credential = await signIn(environment, settings, signal);
  const base = { environment, credential, signal, clock: systemClock, onWarning, onNote: io.note };
  const subscriptionId = options.subscription ?? io.environment.AZURE_SUBSCRIPTION_ID ?? (await defaultSubscription(io, base));
  const context = { ...base, subscriptionId };
  const signInFor = (other: AbortSignal) => signIn(environment, settings, other, credential);
  return { context, cloud: await openCloud(context), signInFor };
}

/** The Azure CLI's default subscription, else the only one the caller has. */
async function defaultSubscription(io: Io, context: Omit<CloudContext, "subscriptionId">): Promise<string> {
  const folder = io.environment.AZURE_CONFIG_DIR ?? join(homeFolder() ?? "/", ".azure");
  const profile = await readFile(join(folder, "azureProfile.json"), "utf8").catch(() => undefined);
  if (profile !== undefined) {
    try {
      const { subscriptions } = JSON.parse(profile.replace(/^\uFEFF/, "")) as { subscriptions?: { id?: string; isDefault?: boolean }[] };
      const chosen = subscriptions?.find(({ isDefault }) => isDefault)?.id;
      if (chosen) return chosen;
    } catch {
      // not ours to judge: ask Azure instead
    }
  }
  const { listSubscriptions } = await import("../cloud/resource-groups.ts");
  const found = (await listSubscriptions(context)).filter(({ state }) => state === "Enabled" || state === "Warned");
  const [only, ...others] = found;
  if (only && others.length === 0) return only.subscriptionId;
  if (!only)
    throw new KnownError("auth/signed-out", "the signed-in account has no Azure subscription", {
      hint: "sign in with another account: `az login`",
    });
  const list = found.map(({ subscriptionId, displayName }) => `\n  ${subscriptionId}  ${displayName}`).join("");
  throw new KnownError("usage/invalid", `the signed-in account has ${found.length} subscriptions:${list}`, {
    hint: "choose one with --subscription",
  });
}

/** The one app that is meant: by `--app`, or the only one. */
export function chooseApp(setup: Setup, key: string | undefined): SiteSetup {
  const [first, ...others] = setup.sites;
  const chosen = key === undefined ? (others.length === 0 ? first : undefined) : setup.sites.find((app) => app.label === key);
  if (chosen) return chosen;
  const keys = setup.sites.map((app) => app.label).join(", ");
  throw new KnownError("usage/invalid", key === undefined ? `the project has several apps: ${keys}` : `the project has no app "${key}"`, {
    hint: `choose one with --app: ${keys}`,
  });
}
