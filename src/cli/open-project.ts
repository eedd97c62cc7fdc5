import { basename, resolve } from "node:path";
import { KnownError } from "../base/errors.ts";
import { type FoundProject, findProject } from "../project/file.ts";
import { projectNameFrom } from "../project/names.ts";
import { type NewProject, type Project, readProject } from "../project/read-project.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

export type NewProjectOptions = Partial<NewProject>;

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
export function projectOf(io: Io, found: FoundProject, options: GlobalOptions & NewProjectOptions): Promise<Project> {
  return readProject(found, { environment: options.env, newProject: () => askForProject(io, found.folder, options) });
}

/** The options of a new project, with what the person answers where they say nothing. */
export async function askForProject<O extends GlobalOptions & NewProjectOptions>(
  io: Io,
  folder: string,
  options: O,
): Promise<O & NewProject> {
  const ask = (question: string, preset: string): Promise<string> => (options.yes ? Promise.resolve(preset) : io.ask(question, preset));
  const name = options.name ?? (await ask("Project name", projectNameFrom(basename(folder))));
  const location = options.location ?? (await ask("Azure region", "eastus"));
  return { ...options, name, location };
}
