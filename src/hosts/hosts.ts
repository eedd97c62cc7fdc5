import type { HostKind } from "../project/file.ts";
import type { AppHost } from "./app-host.ts";
import { functionapp } from "./functionapp.ts";
import { webapp } from "./webapp.ts";

/** What an app can run on: a row a kind. */
export const hosts = { webapp, functionapp } satisfies Record<HostKind, AppHost>;
