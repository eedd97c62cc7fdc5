import { join, resolve } from "node:path";
import { KnownError } from "../../base/errors.ts";
import { findProject, writeProject } from "../../project/file.ts";
import { withNames } from "../../project/setup.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { type NewProjectOptions, openProject, type Project } from "../session.ts";

export interface NewProjectFlags extends NewProjectOptions {
  readonly template?: string;
}

/** Lays down the template when one is asked for, opens the project, and writes its names back before anything is created under them. */
export async function prepareProject(io: Io, options: NewProjectFlags & GlobalOptions, directory: string): Promise<Project> {
  const folder = resolve(io.directory, directory);
  const config = options.config && resolve(io.directory, options.config);
  if ((await findProject(folder, config)).content === undefined && !options.yes && !io.isInteractive) {
    // A run that must stop at the question leaves no file behind either.
    throw new KnownError("usage/invalid", `nobody can answer whether to make a project of ${folder}`, { hint: "add --yes" });
  }
  if (options.template) {
    const { layTemplate } = await import("../../package/templates.ts");
    await layTemplate(join(io.packageRoot, "templates"), options.template, folder);
  }
  const project = await openProject(io, directory, options, true);
  const file = withNames(project.file, project.setup, options.env);
  const before = (await findProject(folder, config)).content;
  if (JSON.stringify(before) !== JSON.stringify(file)) {
    await writeProject(project.found.path, file);
    io.note(before === undefined ? `wrote ${project.found.path}` : `wrote the names of this project into ${project.found.path}`);
  }
  return { ...project, file };
}
