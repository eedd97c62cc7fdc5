import type { Clock } from "../../base/clock.ts";
import type { ProgressView } from "./progress-view.ts";
import type { ForegroundEnd } from "./run-foreground.ts";

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
  readonly hasColor: boolean;
  readonly isJson: boolean;
  readonly clock: Clock;
  /** Aborted by Ctrl-C, SIGTERM and the end of the terminal (SIGHUP). */
  readonly signal: AbortSignal;
  /** Registers what must be given back even when the run ends by a fault of its own; the answer takes it off again. */
  atLast(giveBack: () => Promise<void>): () => void;
  /** Runs a program of the person's own (psql) on the terminal, which has Ctrl-C for itself meanwhile. Rejects when it cannot be started. */
  runForeground(program: string, environment: Readonly<Record<string, string>>): Promise<ForegroundEnd>;
  /** The result: stdout, nothing else goes there. What looks like a secret is taken out, as in `note` and `complain`. */
  result(text: string): void;
  /** The one document of a run with --json: stdout, as `result`. */
  document(value: object): void;
  /** A result that is shown word by word because it was asked for: a token, an app's own log. */
  verbatim(text: string): void;
  /** Progress and words for people: stderr. Silent with --quiet. */
  note(text: string): void;
  /** Work as it goes: stderr. Silent with --quiet. */
  readonly progress: ProgressView;
  /** Errors: stderr, also with --quiet. */
  complain(text: string): void;
  /**
   * Asks on the terminal; where nobody can answer it throws "usage/invalid" that names the flag to use instead. Ctrl-C and the end of the input
   * (Ctrl-D) stop the whole run, here and in `ask`: they throw `cancelled`.
   */
  confirm(question: string, flag: string): Promise<boolean>;
  ask(question: string, preset: string): Promise<string>;
}
