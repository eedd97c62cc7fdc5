import { poll } from "../../base/poll.ts";
import type { DeploymentContext } from "./deployment-context.ts";

/** Asks again and again, slower the longer it takes; false when the deadline came first. */
export function pollSlower(
  { clock, signal }: Pick<DeploymentContext, "clock" | "signal">,
  deadline: number,
  { longestMs, part }: { readonly longestMs: number; readonly part: number },
  isDone: () => Promise<boolean>,
): Promise<boolean> {
  const intervalMs = (elapsedMs: number): number => Math.max(200, Math.min(elapsedMs / 4, Math.max(1_000, elapsedMs / part), longestMs));
  return poll(isDone, (isTrue) => isTrue, { clock, signal, deadlineMs: deadline - clock.now(), intervalMs });
}
