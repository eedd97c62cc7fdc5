import type { ProjectFile } from "./file.ts";
import type { Problem } from "./problems.ts";

/** The file with the parts that `environments.<name>` replaces. */
export function withEnvironment(file: ProjectFile, environment: string | undefined, problems: Problem[]): ProjectFile {
  if (!environment) return file;
  const own = member(file.environments, environment);
  if (!own) {
    const there = Object.keys(file.environments ?? {}).join(", ") || "none";
    problems.push({ code: "environment-unknown", text: `environments.${environment}: is not in the file (there are: ${there})` });
    return file;
  }
  // An environment shares nothing that is globally unique with the others: their names count for themselves only.
  const appKeys = new Set([...Object.keys(file.apps ?? { api: {} }), ...Object.keys(own.apps ?? {})]);
  const apps = [...appKeys].map((key) => [key, { ...without(member(file.apps, key) ?? {}, "name"), ...member(own.apps, key) }] as const);
  const { resourceGroup: _shared, ...rest } = file;
  return { ...rest, ...own, server: { ...without(file.server ?? {}, "name"), ...own.server }, apps: Object.fromEntries(apps) };
}

/** Only what the object itself holds: `constructor` may be a name, too. */
export function member<T>(all: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return all && Object.hasOwn(all, name) ? all[name] : undefined;
}

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _left, ...rest } = value;
  return rest;
}
