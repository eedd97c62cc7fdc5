import { createInterface } from "node:readline/promises";
import type { Readable } from "node:stream";
import { KnownError } from "../../base/errors.ts";

interface Question {
  readonly input: Readable;
  readonly output: NodeJS.WritableStream;
  readonly signal: AbortSignal;
  /** Ctrl-C typed at the question: while one is asked the terminal sends no signal. */
  onInterrupt(): void;
  /** Stops the run for this reason. */
  stop(reason: KnownError): void;
}

/** Asks for one line. Ctrl-C and the end of the input (Ctrl-D) stop the whole run: they throw `cancelled`. */
export async function askLine(text: string, { input, output, signal, onInterrupt, stop }: Question): Promise<string> {
  signal.throwIfAborted();
  const lines = createInterface({ input, output });
  const ended = new Promise<undefined>((done) => lines.once("close", () => done(undefined)));
  lines.on("SIGINT", onInterrupt);
  try {
    // Newer versions of Node reject the question when the input ends.
    const asked = lines.question(text, { signal }).catch(() => undefined);
    const answer = await Promise.race([asked, ended]);
    if (answer !== undefined) return answer;
    stop(new KnownError("cancelled", "stopped at a question", { hint: "run the same command again to go on" }));
    // The next word begins on a line of its own.
    output.write("\n");
    throw signal.reason;
  } finally {
    lines.close();
  }
}
