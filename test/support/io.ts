import { Readable, Writable } from "node:stream";
import { systemClock } from "../../src/base/clock.ts";
import { createIo } from "../../src/cli/terminal/create-io.ts";
import type { GlobalOptions, Io } from "../../src/cli/terminal/io.ts";

/** The command line's own Io of somebody who stands in `directory`, with nobody at the keyboard; `said` is all that was printed. */
export function ioOf(directory: string, options: GlobalOptions = {}): { readonly io: Io; said(): string } {
  let said = "";
  const sink = new Writable({
    write(chunk, _encoding, done) {
      said += String(chunk);
      done();
    },
  });
  const more = {
    environment: {},
    directory,
    packageRoot: "",
    clock: systemClock,
    signal: new AbortController().signal,
    interrupts: { areHeld: false },
    onInterrupt: () => {},
    stop: () => {},
    borrowed: new Set<() => Promise<void>>(),
    written: { hasResult: false, isClosed: false },
  };
  return { io: createIo({ stdin: Readable.from([]), stdout: sink, stderr: sink }, options, more), said: () => said };
}
