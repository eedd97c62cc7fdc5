import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import type { GlobalOptions, Io } from "../../src/cli/terminal/io.ts";
import { createProgressView } from "../../src/cli/terminal/progress-view.ts";

/** An Io that keeps what it was told instead of showing it. */
export interface FakeIo extends Io {
  /** Lines of stdout. */
  readonly results: string[];
  /** Documents of stdout. */
  readonly documents: object[];
  /** Lines of stderr, notes and complaints in the order they came. */
  readonly messages: string[];
  readonly questions: string[];
  /** What was run on the terminal. */
  readonly programs: { readonly program: string; readonly env: Readonly<Record<string, string>> }[];
  /** What must be given back at last. */
  readonly borrowed: ReadonlySet<() => Promise<void>>;
}

interface FakePerson {
  readonly directory: string;
  readonly options?: GlobalOptions;
  readonly environment?: Readonly<Record<string, string>>;
  /** What is typed, question by question; without it nobody is at the keyboard. */
  readonly answers?: readonly string[];
  readonly signal?: AbortSignal;
  /** Is told each message and each line of stdout as it comes. */
  onLine?(text: string): void;
}

export function createFakeIo({ directory, options = {}, environment = {}, answers, signal, onLine }: FakePerson): FakeIo {
  const [results, messages, questions] = [[] as string[], [] as string[], [] as string[]];
  const documents: object[] = [];
  const programs: FakeIo["programs"] = [];
  const borrowed = new Set<() => Promise<void>>();
  const note = (text: string): void => {
    if (options.quiet) return;
    messages.push(text);
    onLine?.(text);
  };
  const typed = (question: string): string => {
    questions.push(question);
    const answer = answers?.[questions.length - 1];
    if (answer === undefined) throw new Error(`the test has no answer to "${question}"`);
    return answer;
  };
  return {
    environment,
    directory,
    packageRoot: process.cwd(),
    isInteractive: answers !== undefined,
    hasColor: false,
    isJson: options.json === true,
    clock: systemClock,
    signal: signal ?? new AbortController().signal,
    results,
    documents,
    messages,
    questions,
    programs,
    borrowed,
    atLast: (giveBack) => {
      borrowed.add(giveBack);
      return () => void borrowed.delete(giveBack);
    },
    runForeground: async (program, env) => {
      programs.push({ program, env });
      return { exitCode: 0, signal: null };
    },
    result: (text) => void results.push(text),
    document: (value) => void documents.push(value),
    verbatim: (text) => {
      results.push(text);
      onLine?.(text);
    },
    note,
    progress: createProgressView({ clock: systemClock, hasColor: false, note }),
    complain: (text) => void messages.push(text),
    confirm: async (question, flag) => {
      if (answers === undefined) throw new KnownError("usage/invalid", `nobody can answer "${question}" here`, { hint: `add ${flag}` });
      return typed(question) === "y";
    },
    ask: async (question, preset) => (answers === undefined ? preset : typed(question) || preset),
  };
}
