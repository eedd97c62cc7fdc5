import { createReadStream, existsSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { AccessLevel } from "../base/access-level.ts";
import { KnownError } from "../base/errors.ts";

const projectFileName = "passwordless-pg.json";

/** The project file as it stands, before defaults. `schema.json` says what each part may be. */
export interface ProjectFile {
  readonly $schema?: string;
  readonly name: string;
  readonly location?: string;
  readonly resourceGroup?: string;
  readonly server?: ServerPart;
  readonly database?: string;
  readonly apps?: Readonly<Record<string, AppPart>>;
  readonly environments?: Readonly<Record<string, Omit<ProjectFile, "$schema" | "name" | "environments">>>;
}

/** Whom the server lets in: all of Azure, or the outbound addresses of the project's sites only. */
export type FirewallPolicy = "azure-services" | "app-addresses";

interface ServerPart {
  readonly name?: string;
  readonly version?: string;
  readonly sku?: string;
  readonly storageGb?: number;
  readonly firewall?: FirewallPolicy;
}

export interface AppPart {
  readonly host?: HostKind;
  readonly name?: string;
  readonly runtime?: string;
  readonly path?: string;
  readonly plan?: string;
  readonly access?: AccessLevel;
  readonly identity?: string;
  readonly startup?: string;
  readonly health?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly include?: readonly string[];
}

/** What runs an app. The schema allows those that this version has. */
export type HostKind = "webapp" | "functionapp";

export interface FoundProject {
  /** Absolute path of the project file, whether it exists or not. */
  readonly path: string;
  readonly folder: string;
  /** `undefined` when there is no file yet. */
  readonly content: unknown;
}

/** Looks in `directory` only: a project file higher up may belong to something else. `config` names a file instead. */
export async function findProject(directory: string, config?: string): Promise<FoundProject> {
  const path = config ? resolve(config) : join(resolve(directory), projectFileName);
  const folder = dirname(path);
  if (!existsSync(path)) {
    if (config)
      throw new KnownError("project/missing", `project file ${path} does not exist`, { hint: "check the path given with --config" });
    return { path, folder, content: undefined };
  }
  const bytes = await readBounded(path).catch((cause: unknown) => {
    const isFolder = (cause as NodeJS.ErrnoException).code === "EISDIR";
    throw new KnownError("project/invalid", isFolder ? `${path} is a folder, not a project file` : `project file ${path} cannot be read`, {
      cause,
      hint: isFolder ? "name the file itself, or move the folder away" : "look at the rights of the file and of the folders above it",
    });
  });
  return { path, folder, content: parseProject(path, bytes) };
}

/** Far above what a project with a hundred apps takes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Not the file's size is asked but its bytes: a device or a pipe tells none. */
async function readBounded(path: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES / 1024 / 1024} MB`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Throws `project/invalid`. A byte order mark, as some editors write it, is no mistake. */
function parseProject(path: string, bytes: Buffer): unknown {
  const isUtf16 = bytes.length >= 2 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff));
  if (isUtf16) throw new KnownError("project/invalid", `project file ${path} is UTF-16`, { hint: "save it as UTF-8" });
  const text = bytes.toString("utf8").replace(/^\uFEFF/, "");
  if (text.trim() === "") {
    throw new KnownError("project/invalid", `project file ${path} is empty`, {
      hint: 'write at least {"name": "shop"} into it, or remove it and run `passwordless-pg init`',
    });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new KnownError("project/invalid", `project file ${path} is not JSON`, {
      cause,
      hint: "a comma too many at the end of a list is the usual reason; comments are not allowed",
    });
  }
}

/** Throws `project/unwritable`. */
export async function writeProject(path: string, file: ProjectFile): Promise<void> {
  await writeWhole(path, `${JSON.stringify(file, undefined, 2)}\n`);
}

/** Writes beside and renames, so that a killed run never leaves half a file. Throws `project/unwritable`. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(beside, text);
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => {}); // half a file is of no use; the failure itself is what is told
    throw new KnownError("project/unwritable", `project file ${path} cannot be written`, {
      cause,
      hint: "look at the space left and at the rights of its folder: the names of the resources are kept in this file",
    });
  }
}
