import { KnownError } from "../base/errors.ts";
import type { AppSetup, Setup } from "./setup.ts";

/** The one app that is meant: by its key, or the only one. Throws `usage/invalid`. */
export function chooseApp(setup: Setup, key: string | undefined): AppSetup {
  const [first, ...others] = setup.apps;
  const chosen = key === undefined ? (others.length === 0 ? first : undefined) : setup.apps.find((app) => app.key === key);
  if (chosen) return chosen;
  const keys = setup.apps.map((app) => app.key).join(", ");
  throw new KnownError("usage/invalid", key === undefined ? `the project has several apps: ${keys}` : `the project has no app "${key}"`, {
    hint: `choose one with --app: ${keys}`,
  });
}
