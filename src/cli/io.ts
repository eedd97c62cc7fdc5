import { createInterface } from "node:readline/promises";
import type { Readable } from "node:stream";
import { KnownError } from "../base/errors.ts";
import { escapeControls } from "../base/json.ts";
import { redact, redactJson } from "../base/secrets.ts";
import { withSameOptions } from "./output/next-command.ts";

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
  /** Asks on the terminal; where nobody can answer it throws "usage/invalid" that names the flag to use instead. */
  confirm(question: string, flag: string): Promise<boolean>;
  ask(question: string, preset: string): Promise<string>;
}

interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

export function createIo(
  streams: Streams,
  options: GlobalOptions,
  context: {
    environment: Readonly<Record<string, string | undefined>>;
    directory: string;
    packageRoot: string;
    signal: AbortSignal;
    interrupts: { areHeld: boolean };
  },
): Io {
  const { environment, signal } = context;
  const isCi = Boolean(environment.CI) && environment.CI !== "false";
  const isTerminal = Boolean(streams.stderr.isTTY) && environment.TERM !== "dumb";
  const isInteractive = Boolean(streams.stdin.isTTY) && isTerminal && !isCi && options.input !== false;
  const isJson = options.json === true;
  const isQuiet = options.quiet === true;
  const question = async (text: string): Promise<string | undefined> => {
    const lines = createInterface({ input: streams.stdin, output: streams.stderr });
    try {
      const ended = new Promise<undefined>((done) => lines.once("close", () => done(undefined)));
      return await Promise.race([lines.question(text, { signal }), ended]);
    } finally {
      lines.close();
    }
  };
  const printable = (text: string): string => (isJson ? escapeControls(text) : text);
  const words = (text: string): string => withSameOptions(redact(text), options);
  // Log lines come by the hundred: a system call for each was a fifth of the tail's time.
  let gathered = "";
  const writeGathered = (): void => {
    const text = gathered;
    gathered = "";
    streams.stdout.write(text);
  };
  return {
    environment,
    directory: context.directory,
    packageRoot: context.packageRoot,
    signal,
    isInteractive,
    isLive: isTerminal && !isCi && !isQuiet,
    hasColor: options.color !== false && !environment.NO_COLOR && isTerminal,
    isJson,
    isQuiet,
    isVerbose: options.verbose === true,
    columns: streams.stderr.columns ?? 80,
    withoutInterrupts: async (work) => {
      context.interrupts.areHeld = true;
      try {
        return await work();
      } finally {
        context.interrupts.areHeld = false;
      }
    },
    result: (text) => void streams.stdout.write(`${printable(isJson ? redactJson(text, words) : words(text))}\n`),
    verbatim: (text) => {
      if (gathered === "") process.nextTick(writeGathered);
      gathered += `${printable(text)}\n`;
    },
    note: (text) => void (isQuiet || streams.stderr.write(`${words(text)}\n`)),
    complain: (text) => void streams.stderr.write(`${words(text)}\n`),
    confirm: async (text, flag) => {
      if (!isInteractive) throw new KnownError("usage/invalid", `nobody can answer "${text}" here`, { hint: `add ${flag}` });
      return /^y(es)?$/i.test((await question(`${text} [y/N] `))?.trim() ?? "");
    },
    ask: async (text, preset) => {
      if (!isInteractive) return preset;
      return (await question(`${text} [${preset}] `))?.trim() || preset;
    },
  };
}
