import type { Socket } from "node:net";
import type { Refusal } from "./login.ts";
import { fatal } from "./messages.ts";

const HANG_UP_WITHIN_MS = 5_000;

/** Says the last word and lets the client hang up; one that does not is cut off. */
export function dismiss(client: Socket, refusal?: Refusal): void {
  const alarm = setTimeout(() => client.destroy(), HANG_UP_WITHIN_MS);
  client.once("close", () => clearTimeout(alarm));
  client.resume();
  if (refusal) client.write(fatal(refusal.sqlState, refusal.message));
  client.end();
}
