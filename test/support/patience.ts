/** Only what hangs takes so long, however loaded the machine is: no test says with it how fast something is. */
export const PATIENCE_MS = 180_000;

/** Looks every 20 ms until it is so; a failed look counts as not yet. Throws with `what` when nothing comes of it. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    let problem = "";
    try {
      if (await isSo()) return;
    } catch (error) {
      problem = ` (${error instanceof Error ? error.message : String(error)})`;
    }
    if (Date.now() > deadline) throw new Error(`not reached: ${what}${problem}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Milliseconds that this process has computed: tells how much work something is, whoever else is at work on the machine. */
export function workedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
