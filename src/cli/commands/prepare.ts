import { basename, join, resolve } from "node:path";
import { KnownError } from "../../base/errors.ts";
import { isAlwaysLeftOut } from "../../package/always-left-out.ts";
import { findProject, writeProject } from "../../project/file.ts";
import { withNames } from "../../project/setup.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { askForProject, type NewProjectOptions, openProject, type Project } from "../session.ts";

export interface NewProjectFlags extends NewProjectOptions {
  readonly template?: string;
}

/** Lays down the template when one is asked for, opens the project, and has its names to `save`. A run that is stopped at a question writes nothing. */
export async function prepareProject(io: Io, given: NewProjectFlags & GlobalOptions, directory: string): Promise<Project> {
  const folder = resolve(io.directory, directory);
  const config = given.config && resolve(io.directory, given.config);
  const isNew = (await findProject(folder, config)).content === undefined;
  if (isNew && !given.yes && !io.isInteractive) {
    // A run that must stop at the question leaves no file behind either.
    throw new KnownError("usage/invalid", `nobody can answer whether to make a project of ${folder}`, { hint: "add --yes" });
  }
  const options = isNew && given.template ? await askForProject(io, folder, given) : given;
  if (options.template) {
    const { layTemplate } = await import("../../package/templates.ts");
    await layTemplate(join(io.packageRoot, "templates"), options.template, folder);
  }
  const project = await openProject(io, directory, options, true);
  const file = withNames(project.file, project.setup, options.env);
  const before = (await findProject(folder, config)).content;
  if (isSame(before, file)) return { ...project, file };
  const { path } = project.found;
  const save = async (): Promise<void> => {
    const now = (await findProject(folder, config)).content;
    if (isSame(now, file)) return; // another run of the same project was first
    if (!isSame(now, before)) {
      throw new KnownError("project/invalid", `${path} was changed while this command was at work`, { hint: "run the same command again" });
    }
    await writeProject(path, file);
    io.note(before === undefined ? `wrote ${path}` : `wrote the names of this project into ${path}`);
  };
  // A file of another name is part of the app's package, which must not change once it is packed.
  if (isAlwaysLeftOut(basename(path), false)) return { ...project, file, save };
  await save();
  return { ...project, file };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
