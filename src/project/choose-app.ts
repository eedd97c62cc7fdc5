import { KnownError } from "../base/errors.ts";
import type { Setup, SiteSetup } from "./setup.ts";

/** The one app that is meant: by its key, or the only one. Throws `usage/invalid`. */
export function chooseApp(setup: Setup, key: string | undefined): SiteSetup {
  const [first, ...others] = setup.sites;
  const chosen = key === undefined ? (others.length === 0 ? first : undefined) : setup.sites.find((app) => app.label === key);
  if (chosen) return chosen;
  const keys = setup.sites.map((app) => app.label).join(", ");
  throw new KnownError("usage/invalid", key === undefined ? `the project has several apps: ${keys}` : `the project has no app "${key}"`, {
    hint: `choose one with --app: ${keys}`,
  });
}
