import { readIfReadable } from "./durable-file.ts";
import { homeFiles } from "./home.ts";
import type { LocalDetails } from "./local-details.ts";
import { type ProcessStamp, stampFrom } from "./process-stamp.ts";

/** `run.json`: the daemon's process and what it told about itself. */
export type RunFile = ProcessStamp & LocalDetails;

/** `undefined` also when the file is torn or foreign: then nothing is known of a daemon. */
export function readRunFile(home: string): RunFile | undefined {
  const stamp = stampFrom(readIfReadable(homeFiles(home).run));
  return stamp && isRunFile(stamp) ? stamp : undefined;
}

const NAMED = [
  "home",
  "arm",
  "authority",
  "tenantId",
  "subscriptionId",
  "clientId",
  "clientSecretFile",
  "userPrincipalName",
  "userPasswordFile",
  "caFile",
  "caBundleFile",
  "controlKeyFile",
  "pace",
] as const satisfies readonly (keyof LocalDetails)[];

function isRunFile(value: object): value is RunFile {
  const members = new Map<string, unknown>(Object.entries(value));
  return NAMED.every((name) => typeof members.get(name) === "string") && URL.canParse(String(members.get("arm")));
}
