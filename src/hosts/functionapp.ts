import { KnownError } from "../base/errors.ts";
import type { AppHost } from "./app-host.ts";

/** The row that function apps will fill: the schema of the project file names no such host yet, so nobody gets here. */
export const functionapp: AppHost = {
  noun: "function app",
  checks: [],
  place: notYet,
  connect: notYet,
  deploy: async () => notYet(),
};

function notYet(): never {
  throw new KnownError("project/invalid", 'the host "functionapp" is not in this version', { hint: 'use "host": "webapp"' });
}
