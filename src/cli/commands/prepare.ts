import { join, resolve } from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { KnownError } from "../../base/errors.ts";
import { findProject, writeProject } from "../../project/file.ts";
import { isUnownedSchema, refreshSchemaCopy, schemaReference } from "../../project/schema-copy.ts";
import { withNames } from "../../project/setup.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { causeText } from "../output/error.ts";
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
  const isUnowned = isUnownedSchema(project.file.$schema);
  const file = { ...withNames(project.file, project.setup, options.env), ...(isUnowned && { $schema: schemaReference }) };
  const before = (await findProject(folder, config)).content;
  if (JSON.stringify(before) !== JSON.stringify(file)) {
    await writeProject(project.found.path, file);
    io.note(before === undefined ? `wrote ${project.found.path}` : `wrote the names of this project into ${project.found.path}`);
  }
  if (isUnowned) io.note(`its $schema is now ${schemaReference}, beside it: nobody vouches for the address that stood there`);
  if (file.$schema === schemaReference) await refreshSchema(io, project.found.folder);
  return { ...project, file };
}

/** For editors alone: a folder that cannot be written to is no reason to stop. */
async function refreshSchema(io: Io, folder: string): Promise<void> {
  try {
    await refreshSchemaCopy(folder, manifest.version);
  } catch (error) {
    if (!(error instanceof KnownError)) throw error;
    io.note(`the schema for editors could not be written into ${folder}: ${causeText(error) ?? error.message}`);
  }
}
