import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, resolve } from "node:path";
import { KnownError } from "../base/errors.ts";
import { detectApp } from "../project/detect.ts";
import { type FoundProject, findProject, type ProjectFile } from "../project/file.ts";
import { projectNameFrom, suffixFrom } from "../project/names.ts";
import { schemaReference } from "../project/schema-copy.ts";
import { appsOf, createSetup, type Setup } from "../project/setup.ts";
import type { DetectedApp } from "../project/site-setup.ts";
import { validateProject } from "../project/validate.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

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

/** Reads the project of a folder. Throws `project/missing` where there is no project file. */
export async function openProject(io: Io, directory: string, options: GlobalOptions): Promise<Project> {
  const found = await findFrom(io, directory, options);
  if (found.content === undefined) {
    throw new KnownError("project/missing", `there is no passwordless-pg.json in ${found.folder}`, {
      hint: "run `passwordless-pg init` there, or name another folder",
    });
  }
  return projectOf(io, found, options);
}

/** The place of the project file, and what stands in it. */
export function findFrom(io: Io, directory: string, { config }: GlobalOptions): Promise<FoundProject> {
  return findProject(resolve(io.directory, directory), config && resolve(io.directory, config));
}

/** The project that was found; without a file a new one from the flags, and from what the person answers where they say nothing. */
export async function projectOf(io: Io, found: FoundProject, options: GlobalOptions & NewProjectOptions): Promise<Project> {
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
    appsOf(setup).map(({ key, production }) => [key, { ...file.apps?.[key], access: production.access, ...detected[key] }]),
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
