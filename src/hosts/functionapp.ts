import { KnownError } from "../base/errors.ts";
import type { AppHost } from "./app-host.ts";

/** Function apps: known, and not in this version. The project file refuses them before anything gets here. */
export const functionapp: AppHost = {
  label: "function app",
  azCommand: "functionapp",
  proof: { database: "/api/healthz/database", rows: "/api/items" },
  site: notInThisVersion,
  steps: notInThisVersion,
  deploy: async () => notInThisVersion(),
};

function notInThisVersion(): never {
  throw new KnownError("project/invalid", "function apps are not in this version", { hint: 'set "host": "webapp" in the project file' });
}
