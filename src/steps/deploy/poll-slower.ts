import type { DeploymentContext } from "./deployment-context.ts";

/** Asks again and again, slower the longer it takes; false when the deadline came first. */
export async function pollSlower(
  { clock, signal }: Pick<DeploymentContext, "clock" | "signal">,
  deadline: number,
  { longestMs, part }: { readonly longestMs: number; readonly part: number },
  isDone: () => Promise<boolean>,
): Promise<boolean> {
  const started = clock.now();
  while (clock.now() < deadline) {
    if (await isDone()) return true;
    const elapsedMs = clock.now() - started;
    const interval = Math.min(elapsedMs / 4, Math.max(1_000, elapsedMs / part), longestMs);
    await clock.sleep(Math.max(200, interval), signal);
  }
  return false;
}
