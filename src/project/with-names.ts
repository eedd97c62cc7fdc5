import type { ProjectFile } from "./file.ts";
import type { Setup } from "./setup.ts";

/** The file with the names that must be globally unique written in, so that they never change again. */
export function withNames(file: ProjectFile, setup: Setup, environment?: string): ProjectFile {
  const server = { ...file.server, name: setup.server.name };
  const named = (parts: ProjectFile["apps"]): NonNullable<ProjectFile["apps"]> =>
    Object.fromEntries(setup.apps.map(({ key, production }) => [key, { ...parts?.[key], name: production.address.app }]));
  if (!environment) return { ...file, server, apps: named(file.apps) };
  const own = file.environments?.[environment];
  return {
    ...file,
    environments: {
      ...file.environments,
      [environment]: {
        ...own,
        server: { ...own?.server, name: setup.server.name },
        apps: named(own?.apps),
      },
    },
  };
}
