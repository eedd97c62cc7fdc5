import { basename, join, resolve } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { KnownError } from "../base/errors.ts";
import { whyLeftOut } from "../package/always-left-out.ts";
import { writeProject } from "../project/file.ts";
import type { Project } from "../project/read-project.ts";
import { isUnownedSchema, refreshSchemaCopy, schemaReference } from "../project/schema-copy.ts";
import { withNames } from "../project/setup.ts";
import { askForProject, findFrom, type NewProjectOptions, projectOf } from "./open-project.ts";
import { causeText } from "./output/error.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

export interface NewProjectFlags extends NewProjectOptions {
  readonly template?: string;
}

/** Lays down the template when one is asked for, opens the project, and has its names to `save`. A run that is stopped at a question writes nothing. */
export async function prepareProject(io: Io, given: NewProjectFlags & GlobalOptions, directory: string): Promise<Project> {
  const folder = resolve(io.directory, directory);
  const found = await findFrom(io, directory, given);
  const before = found.content;
  const isNew = before === undefined;
  if (isNew && !given.yes && !io.isInteractive) {
    // A run that must stop at the question leaves no file behind either.
    throw new KnownError("usage/invalid", `nobody can answer whether to make a project of ${folder}`, { hint: "add --yes" });
  }
  const options = isNew && given.template ? await askForProject(io, folder, given) : given;
  if (options.template) {
    const { layTemplate } = await import("../package/templates.ts");
    await layTemplate(join(io.packageRoot, "templates"), options.template, folder);
  }
  const project = await projectOf(io, found, options);
  const isUnowned = isUnownedSchema(project.file.$schema);
  const file = { ...withNames(project.file, project.setup, options.env), ...(isUnowned && { $schema: schemaReference }) };
  const { path, folder: home } = found;
  const refresh = async (): Promise<void> => {
    if (file.$schema === schemaReference) await refreshSchema(io, home);
  };
  if (isSame(before, file)) {
    await refresh();
    return { ...project, file };
  }
  const save = async (): Promise<void> => {
    const now = (await findFrom(io, directory, given)).content;
    if (isSame(now, file)) return; // another run of the same project was first
    if (!isSame(now, before)) {
      throw new KnownError("project/invalid", `${path} was changed while this command was at work`, { hint: "run the same command again" });
    }
    await writeProject(path, file);
    io.note(before === undefined ? `wrote ${path}` : `wrote the names of this project into ${path}`);
    if (isUnowned) io.note(`its $schema is now ${schemaReference}, beside it: nobody vouches for the address that stood there`);
    await refresh();
  };
  // A file of another name is part of the app's package, which must not change once it is packed.
  if (whyLeftOut(basename(path), false) !== undefined) return { ...project, file, save };
  await save();
  return { ...project, file };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
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
