import { createInterface } from "node:readline/promises";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { redact, redactJson } from "../../base/secrets.ts";
import { carryGlobalOptions } from "./command-hints.ts";
import type { GlobalOptions, Io } from "./io.ts";
import { createProgressView } from "./progress-view.ts";
import type { Spinner } from "./spinner.ts";
import { safeWords } from "./style.ts";

/** What the parts of one run share: the process's way to its end. */
export interface RunContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly packageRoot: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly interrupts: { areHeld: boolean };
  /** Ctrl-C typed at a question: while one is asked the terminal sends no signal. */
  onInterrupt(): void;
  /** Stops the run for this reason. */
  stop(reason: KnownError): void;
  /** What must be given back, see `Io.atLast`. */
  readonly borrowed: Set<() => Promise<void>>;
  /** Set once a document went to stdout: there may be no second. */
  readonly written: { hasResult: boolean; isClosed: boolean };
}

interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

export function createIo(streams: Streams, options: GlobalOptions, context: RunContext): Io {
  const { environment, signal, borrowed, written } = context;
  const isCi = Boolean(environment.CI) && environment.CI !== "false";
  const isTerminal = Boolean(streams.stderr.isTTY) && environment.TERM !== "dumb";
  const isInteractive = Boolean(streams.stdin.isTTY) && isTerminal && !isCi && options.input !== false;
  const isJson = options.json === true;
  const isQuiet = options.quiet === true;
  const hasColor = options.color !== false && !environment.NO_COLOR && isTerminal;
  let spinner: Spinner | undefined;
  let isAsking = false;
  const draw = (): void => {
    if (!isAsking) spinner?.draw();
  };
  /** Everything that is written goes through here: the lines that are drawn over and over would else take the words away with them. */
  const above = (write: () => void): void => {
    spinner?.clear();
    write();
    draw();
  };
  const animate = (lines: (columns: number) => string): (() => void) => {
    let isOver = false;
    // Loaded when there is something to draw: most runs of scripts have nothing.
    void import("./spinner.ts").then(({ createSpinner }) => {
      if (isOver) return;
      spinner = createSpinner(streams.stderr, hasColor, () => lines(streams.stderr.columns ?? 80));
      draw();
    });
    const timer = setInterval(draw, 120).unref();
    return () => {
      isOver = true;
      clearInterval(timer);
      spinner?.clear();
      spinner = undefined;
    };
  };
  const question = async (text: string): Promise<string> => {
    signal.throwIfAborted();
    spinner?.clear();
    isAsking = true;
    const lines = createInterface({ input: streams.stdin, output: streams.stderr });
    const ended = new Promise<undefined>((done) => lines.once("close", () => done(undefined)));
    lines.on("SIGINT", context.onInterrupt);
    try {
      // Newer versions of Node reject the question when the input ends.
      const asked = lines.question(safeWords(text, hasColor), { signal }).catch(() => undefined);
      const answer = await Promise.race([asked, ended]);
      if (answer !== undefined) return answer;
      context.stop(new KnownError("cancelled", "stopped at a question", { hint: "run the same command again to go on" }));
      // The next word begins on a line of its own.
      streams.stderr.write("\n");
      throw signal.reason;
    } finally {
      lines.close();
      isAsking = false;
    }
  };
  const printable = (text: string): string => (isJson ? escapeControls(text) : text);
  const words = (text: string): string => carryGlobalOptions(redact(text), options);
  /** Names and messages of servers are in it: none may steer the terminal. */
  const shown = (text: string): string => safeWords(words(text), hasColor);
  // Log lines come by the hundred: a system call for each was a fifth of the tail's time.
  let gathered = "";
  const writeGathered = (): void => {
    const text = gathered;
    gathered = "";
    above(() => streams.stdout.write(text));
  };
  const result = (text: string): void => {
    if (written.isClosed) return;
    written.hasResult = true;
    above(() => streams.stdout.write(`${isJson ? printable(redactJson(text, words)) : shown(text)}\n`));
  };
  const note = (text: string): void => {
    if (!isQuiet) above(() => streams.stderr.write(`${shown(text)}\n`));
  };
  return {
    environment,
    directory: context.directory,
    packageRoot: context.packageRoot,
    signal,
    isInteractive,
    hasColor,
    isJson,
    clock: context.clock,
    atLast: (giveBack) => {
      borrowed.add(giveBack);
      return () => void borrowed.delete(giveBack);
    },
    withoutInterrupts: async (work) => {
      context.interrupts.areHeld = true;
      try {
        return await work();
      } finally {
        context.interrupts.areHeld = false;
      }
    },
    result,
    document: (value) => result(JSON.stringify(value, undefined, 2)),
    verbatim: (text) => {
      if (gathered === "") process.nextTick(writeGathered);
      gathered += `${printable(text)}\n`;
    },
    note,
    progress: createProgressView({ clock: context.clock, hasColor, note, ...(isTerminal && !isCi && !isQuiet && { animate }) }),
    complain: (text) => above(() => streams.stderr.write(`${shown(text)}\n`)),
    confirm: async (text, flag) => {
      if (!isInteractive) throw new KnownError("usage/invalid", `nobody can answer "${text}" here`, { hint: `add ${flag}` });
      return /^y(es)?$/i.test((await question(`${text} [y/N] `)).trim());
    },
    ask: async (text, preset) => {
      if (!isInteractive) return preset;
      return (await question(`${text} [${preset}] `)).trim() || preset;
    },
  };
}
