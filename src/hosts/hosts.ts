import type { HostKind } from "../project/file.ts";
import type { AppHost } from "./app-host.ts";
import { functionapp } from "./functionapp.ts";
import { webapp } from "./webapp.ts";

/** One row a kind; a kind without its row does not compile. */
export const hosts: Readonly<Record<HostKind, AppHost>> = { webapp, functionapp };
