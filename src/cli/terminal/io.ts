import { createInterface } from "node:readline/promises";
import type { Readable } from "node:stream";
import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { redact, redactJson } from "../../base/secrets.ts";
import { carryGlobalOptions } from "./command-hints.ts";
import { safeWords } from "./style.ts";

/** Options that every command knows. */
export interface GlobalOptions {
  readonly local?: boolean;
  readonly cloud?: string;
  readonly subscription?: string;
  readonly config?: string;
  readonly env?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  /** commander's `--no-color` */
  readonly color?: boolean;
  /** commander's `--no-input` */
  readonly input?: boolean;
}

/** Everything a command may touch of the process it runs in. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** The installed package: `templates/` and `dist/` are below it. */
  readonly packageRoot: string;
  /** A person is there to answer: stdin and stderr are terminals, and neither CI nor --no-input says otherwise. */
  readonly isInteractive: boolean;
  /** Progress may be redrawn: stderr is a terminal and not too clever by CI or TERM=dumb. */
  readonly isLive: boolean;
  readonly hasColor: boolean;
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  readonly isVerbose: boolean;
  /** Width of the terminal; 80 when unknown. */
  readonly columns: number;
  /** Aborted by Ctrl-C, SIGTERM and the end of the terminal (SIGHUP). */
  readonly signal: AbortSignal;
  /** Registers what must be given back even when the run ends by a fault of its own; the answer takes it off again. */
  atLast(giveBack: () => Promise<void>): () => void;
  /** Words are written above this display, which is taken off the screen for them; the answer ends that. */
  writeAbove(display: LiveDisplay): () => void;
  /** Leaves Ctrl-C to a program of the person's own (psql) while `work` runs. */
  withoutInterrupts<T>(work: () => Promise<T>): Promise<T>;
  /** The result: stdout, nothing else goes there. What looks like a secret is taken out, as in `note` and `complain`. */
  result(text: string): void;
  /** A result that is shown word by word because it was asked for: a token, an app's own log. */
  verbatim(text: string): void;
  /** Progress and words for people: stderr. Silent with --quiet. */
  note(text: string): void;
  /** Errors: stderr, also with --quiet. */
  complain(text: string): void;
  /**
   * Asks on the terminal; where nobody can answer it throws "usage/invalid" that names the flag to use instead. Ctrl-C and the end of the input
   * (Ctrl-D) stop the whole run, here and in `ask`: they throw `cancelled`.
   */
  confirm(question: string, flag: string): Promise<boolean>;
  ask(question: string, preset: string): Promise<string>;
}

/** Lines at the end of the terminal that are drawn over and over. */
interface LiveDisplay {
  clear(): void;
  draw(): void;
}

/** What the parts of one run share: the process's way to its end. */
export interface RunContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly packageRoot: string;
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
  const displays = new Set<LiveDisplay>();
  /** Everything that is written goes through here: a display that owns the last lines would else take the words away with them. */
  const above = (write: () => void): void => {
    for (const display of displays) display.clear();
    write();
    for (const display of displays) display.draw();
  };
  const question = async (text: string): Promise<string> => {
    signal.throwIfAborted();
    for (const display of displays) display.clear();
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
  return {
    environment,
    directory: context.directory,
    packageRoot: context.packageRoot,
    signal,
    isInteractive,
    isLive: isTerminal && !isCi && !isQuiet,
    hasColor,
    isJson,
    isQuiet,
    isVerbose: options.verbose === true,
    columns: streams.stderr.columns ?? 80,
    atLast: (giveBack) => {
      borrowed.add(giveBack);
      return () => void borrowed.delete(giveBack);
    },
    writeAbove: (display) => {
      displays.add(display);
      return () => void displays.delete(display);
    },
    withoutInterrupts: async (work) => {
      context.interrupts.areHeld = true;
      try {
        return await work();
      } finally {
        context.interrupts.areHeld = false;
      }
    },
    result: (text) => {
      if (written.isClosed) return;
      written.hasResult = true;
      above(() => streams.stdout.write(`${isJson ? printable(redactJson(text, words)) : shown(text)}\n`));
    },
    verbatim: (text) => {
      if (gathered === "") process.nextTick(writeGathered);
      gathered += `${printable(text)}\n`;
    },
    note: (text) => {
      if (!isQuiet) above(() => streams.stderr.write(`${shown(text)}\n`));
    },
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
