import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { KnownError } from "../base/errors.ts";
import { detectApp } from "./detect.ts";
import type { FoundProject, ProjectFile } from "./file.ts";
import { suffixFrom } from "./names.ts";
import { schemaReference } from "./schema-copy.ts";
import { appsOf, createSetup, type Setup } from "./setup.ts";
import type { DetectedApp } from "./site-setup.ts";
import { validateProject } from "./validate.ts";

/** The project a command works on, before any cloud is asked. */
export interface Project {
  readonly found: FoundProject;
  readonly file: ProjectFile;
  readonly setup: Setup;
  /** Writes the names back that were chosen for it: before anything is created under them, and not before the person has agreed. */
  readonly save?: () => Promise<void>;
}

/** What a new project file begins with. */
export interface NewProject {
  readonly name: string;
  readonly location: string;
  readonly resourceGroup?: string;
}

interface ReadOptions {
  /** The environment of the project file that is meant. */
  readonly environment: string | undefined;
  /** Asked where there is no project file yet. */
  newProject(): Promise<NewProject>;
}

/**
 * The project that was found, with what its folder tells; without a file a new one, which is not written yet.
 * Throws `project/invalid` with all problems, `project/missing` for a folder that is none.
 */
export async function readProject(found: FoundProject, { environment, newProject }: ReadOptions): Promise<Project> {
  const { folder } = found;
  const isNew = found.content === undefined;
  if (isNew) await requireFolder(folder);
  const content = isNew ? newFile(await newProject()) : found.content;
  const detected = await detectAll(content, folder);
  const suffix = suffixFrom(`${hostname()}\n${folder}\n${environment ?? ""}`);
  const setup = createSetup(content, { folder, environment, suffix, detected, validate: validateProject });
  const file = content as ProjectFile;
  return { found, file: isNew ? withDetected(file, setup, detected) : file, setup };
}

async function requireFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new KnownError("project/missing", found ? `${folder} is not a folder` : `folder ${folder} does not exist`, {
    hint: "name the folder of your app",
  });
}

function newFile({ name, location, resourceGroup }: NewProject): ProjectFile {
  return { $schema: schemaReference, name, location, ...(resourceGroup ? { resourceGroup } : {}), apps: { api: { path: "." } } };
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
