import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { redact, redactJson } from "../../base/secrets.ts";
import { askLine } from "./ask-line.ts";
import { carryGlobalOptions } from "./command-hints.ts";
import type { GlobalOptions, Io } from "./io.ts";
import { createProgressView } from "./progress-view.ts";
import { runForeground } from "./run-foreground.ts";
import { createScreen, type OutputStreams } from "./screen.ts";
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

interface Streams extends OutputStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
}

export function createIo(streams: Streams, options: GlobalOptions, context: RunContext): Io {
  const { environment, directory, packageRoot, clock, signal, interrupts } = context;
  const isCi = Boolean(environment.CI) && environment.CI !== "false";
  const isTerminal = Boolean(streams.stderr.isTTY) && environment.TERM !== "dumb";
  const isInteractive = Boolean(streams.stdin.isTTY) && isTerminal && !isCi && options.input !== false;
  const isJson = options.json === true;
  const hasColor = options.color !== false && !environment.NO_COLOR && isTerminal;
  const screen = createScreen(streams, hasColor);
  const words = (text: string): string => carryGlobalOptions(redact(text), options);
  /** Names and messages of servers are in it: none may steer the terminal. */
  const shown = (text: string): string => safeWords(words(text), hasColor);
  const question = (text: string): Promise<string> =>
    screen.lend(() => askLine(safeWords(text, hasColor), { ...context, input: streams.stdin, output: streams.stderr }));
  const result = (text: string): void => {
    if (context.written.isClosed) return;
    context.written.hasResult = true;
    screen.out(`${isJson ? escapeControls(redactJson(text, words)) : shown(text)}\n`);
  };
  const note = (text: string): void => {
    if (!options.quiet) screen.err(`${shown(text)}\n`);
  };
  const isLive = isTerminal && !isCi && !options.quiet;
  return {
    ...{ environment, directory, packageRoot, clock, signal, isInteractive, hasColor, isJson },
    atLast: (giveBack) => {
      context.borrowed.add(giveBack);
      return () => void context.borrowed.delete(giveBack);
    },
    runForeground: async (program, env) => {
      interrupts.areHeld = true;
      try {
        return await screen.lend(() => runForeground(program, env, signal));
      } finally {
        interrupts.areHeld = false;
      }
    },
    result,
    document: (value) => result(JSON.stringify(value, undefined, 2)),
    verbatim: gathering((text) => screen.out(isJson ? escapeControls(text) : text)),
    note,
    progress: createProgressView({ clock, hasColor, note, ...(isLive && { animate: screen.animate }) }),
    complain: (text) => screen.err(`${shown(text)}\n`),
    confirm: async (text, flag) => {
      if (!isInteractive) throw new KnownError("usage/invalid", `nobody can answer "${text}" here`, { hint: `add ${flag}` });
      return /^y(es)?$/i.test((await question(`${text} [y/N] `)).trim());
    },
    ask: async (text, preset) => (isInteractive ? (await question(`${text} [${preset}] `)).trim() || preset : preset),
  };
}

/** Lines that come by the hundred are written together: a system call for each was a fifth of the log tail's time. */
function gathering(write: (text: string) => void): (line: string) => void {
  let gathered = "";
  const flush = (): void => {
    const text = gathered;
    gathered = "";
    write(text);
  };
  return (line) => {
    if (gathered === "") process.nextTick(flush);
    gathered += `${line}\n`;
  };
}
