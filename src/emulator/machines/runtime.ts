import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/** What `linuxFxVersion` asks for: `PYTHON|3.12`, `NODE|20-lts`. */
export interface RuntimeRequest {
  readonly stack: "python" | "node" | "other";
  readonly version: string;
}

/** An interpreter of this machine that stands for the one in Azure's image. */
export interface Interpreter {
  /** Real path of the executable. */
  readonly path: string;
  /** `3.12.1`, `20.20.2`. */
  readonly version: string;
  /** Is it the requested minor version? */
  readonly isExact: boolean;
}

export function parseRuntime(linuxFxVersion: string): RuntimeRequest {
  const [name = "", version = ""] = linuxFxVersion.split("|");
  const stack = name.toLowerCase();
  return { stack: stack === "python" || stack === "node" ? stack : "other", version: version.replace(/-lts$/i, "") };
}

const PYTHON_PROBE = "import sys;print(sys.executable);print('%d.%d.%d'%sys.version_info[:3])";
const found = new Map<string, Promise<Interpreter | undefined>>();

/**
 * The requested Python when this machine has it (PATH, pyenv, uv), else the newest other one from 3.10 on.
 * `undefined` when there is none at all.
 */
export function findPython(version: string): Promise<Interpreter | undefined> {
  const known = found.get(version) ?? searchPython(version);
  found.set(version, known);
  return known;
}

async function searchPython(version: string): Promise<Interpreter | undefined> {
  const exact = [`python${version}`, ...(await homePythons(version))];
  for (const command of exact) {
    const python = await probePython(command, version);
    if (python?.isExact) return python;
  }
  for (const command of ["python3.13", "python3.12", "python3.11", "python3.10", "python3.14", "python3"]) {
    const python = await probePython(command, version);
    if (python && Number(python.version.split(".")[1]) >= 10) return python;
  }
  return undefined;
}

async function homePythons(version: string): Promise<readonly string[]> {
  const folders = [join(homedir(), ".pyenv/versions"), join(homedir(), ".local/share/uv/python")];
  const paths: string[] = [];
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => [] as string[]);
    for (const name of names.sort().reverse()) {
      if (name.replace(/^cpython-/, "").startsWith(`${version}.`)) paths.push(join(folder, name, "bin/python3"));
    }
  }
  return paths;
}

async function probePython(command: string, wanted: string): Promise<Interpreter | undefined> {
  const { stdout, failed } = await execa(command, ["-I", "-c", PYTHON_PROBE], { reject: false, timeout: 10_000 });
  const [path, version] = stdout?.split("\n") ?? [];
  return failed || !path || !version ? undefined : { path, version, isExact: version.startsWith(`${wanted}.`) };
}

/** The Node that runs local Azure stands for the requested one. */
export function ownNode(version: string): Interpreter {
  return { path: process.execPath, version: process.versions.node, isExact: process.versions.node.startsWith(`${version}.`) };
}
