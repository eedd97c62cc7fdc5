import { KnownError } from "../base/errors.ts";
import { appsOf, type Setup } from "./setup.ts";
import type { SiteSetup } from "./site-setup.ts";

/** The production site of the one app that is meant: by its key, or the only one. Throws `usage/invalid`. */
export function chooseApp(setup: Setup, key: string | undefined): SiteSetup {
  const apps = appsOf(setup);
  const [first, ...others] = apps;
  const chosen = key === undefined ? (others.length === 0 ? first : undefined) : apps.find((app) => app.key === key);
  if (chosen) return chosen.production;
  const keys = apps.map((app) => app.key).join(", ");
  throw new KnownError("usage/invalid", key === undefined ? `the project has several apps: ${keys}` : `the project has no app "${key}"`, {
    hint: `choose one with --app: ${keys}`,
  });
}
