import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../../base/clock.ts";
import type { Outcome, Progress } from "../../engine/report.ts";
import { duration, paint, safeText } from "./style.ts";

/** How a task ended; `removed` is what `down` does. */
type Ending = Outcome | "removed";

const marks: Readonly<Record<Ending, string>> = { kept: "·", created: "+", updated: "~", removed: "-", skipped: "-", failed: "✗" };

/** Shows work as it goes: a live tree with elapsed times on a terminal, one plain line per event elsewhere. */
export interface ProgressView {
  onProgress(progress: Progress): void;
  begin(name: string, does: string): void;
  /** A line of detail below a running task (build log, "waiting for …"). */
  detail(name: string, text: string): void;
  /** The same for the task that this is called within, on a terminal only: what an adapter tells of a long operation. */
  onWait(text: string): void;
  end(name: string, outcome: Ending, ms: number, reason?: string): void;
  /** Shows `work` as a task that leaves no line behind. */
  during<T>(name: string, does: string, work: () => Promise<T>): Promise<T>;
  /** Takes everything off the display without a word. */
  close(): void;
}

interface ProgressTerminal {
  readonly clock: Clock;
  readonly hasColor: boolean;
  note(text: string): void;
  /** Where lines may be drawn over and over: keeps these at the end of the terminal, `columns` wide, until the answer is called. */
  animate?(lines: (columns: number) => string): () => void;
}

interface Task {
  readonly startedAt: number;
  readonly does: string;
  detail?: string;
}

/** A task's name may come from a server. */
const nameOf = (given: string): string => oneLine(given, 400);

export function createProgressView(terminal: ProgressTerminal): ProgressView {
  const { animate, clock, note } = terminal;
  const colors = paint(terminal.hasColor);
  const running = new Map<string, Task>();
  const current = new AsyncLocalStorage<string>();
  let endAnimation: (() => void) | undefined;
  const lines = (columns: number): string =>
    [...running]
      .map(([name, task]) => taskLines(name, task, { ms: clock.now() - task.startedAt, width: columns - 2, dim: colors.dim }))
      .join("\n  ");
  const remove = (name: string): void => {
    running.delete(name);
    if (running.size === 0) view.close();
  };
  const view: ProgressView = {
    begin: (given, does) => {
      const name = nameOf(given);
      current.enterWith(name);
      running.set(name, { startedAt: running.get(name)?.startedAt ?? clock.now(), does });
      if (animate) endAnimation ??= animate(lines);
      else if (does !== "read") note(`… ${name}: ${does}`);
    },
    detail: (given, text) => {
      const name = nameOf(given);
      const task = running.get(name);
      if (task) task.detail = oneLine(text, 400);
      if (!animate) note(`  ${name}: ${oneLine(text, 400)}`);
    },
    onWait: (text) => {
      const task = running.get(current.getStore() ?? "");
      if (task) task.detail = oneLine(text, 400);
    },
    end: (given, outcome, ms, reason) => {
      const name = nameOf(given);
      remove(name);
      const took = outcome === "kept" || outcome === "skipped" ? "" : ` ${duration(ms)}`;
      const why = reason ? ` ${safeText(reason, 300).split("\n")[0]}` : "";
      note(`${colorOf(outcome, colors)(marks[outcome])} ${name} ${colors.dim(`${outcome}${took}${why}`)}`);
    },
    during: (name, does, work) =>
      current.run(nameOf(name), async () => {
        view.begin(name, does);
        try {
          return await work();
        } finally {
          remove(nameOf(name));
        }
      }),
    onProgress: (progress) => {
      if (progress.kind === "begins") view.begin(progress.name, progress.does);
      else view.end(progress.report.name, progress.report.outcome, progress.report.ms, progress.report.reason);
    },
    close: () => {
      running.clear();
      endAnimation?.();
      endAnimation = undefined;
    },
  };
  return view;
}

type Paint = ReturnType<typeof paint>;

/** Two lines at most, none longer than the terminal is wide. */
function taskLines(name: string, { does, detail }: Task, { ms, width, dim }: { ms: number; width: number; dim: Paint["dim"] }): string {
  const suffix = `${does} ${duration(ms)}`;
  const head = `${name.slice(0, Math.max(10, width - suffix.length - 1))} ${dim(suffix)}`;
  return detail ? `${head}\n    ${dim(detail.slice(0, Math.max(20, width - 4)))}` : head;
}

function colorOf(outcome: Ending, colors: Paint): (text: string) => string {
  return outcome === "failed" ? colors.red : outcome === "kept" ? colors.dim : outcome === "skipped" ? colors.yellow : colors.green;
}

function oneLine(text: string, limit: number): string {
  return safeText(text, limit).replaceAll("\n", " ");
}
