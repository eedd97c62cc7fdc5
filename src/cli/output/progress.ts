import { createLogUpdate } from "log-update";
import { systemClock } from "../../base/clock.ts";
import type { Outcome, Progress } from "../../engine/report.ts";
import type { Io } from "../terminal/io.ts";
import { duration, paint, safeText } from "../terminal/style.ts";

/** How a task ended; `removed` is what `down` does. */
type Ending = Outcome | "removed";

const marks: Readonly<Record<Ending, string>> = { kept: "·", created: "+", updated: "~", removed: "-", skipped: "-", failed: "✗" };
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** Shows work as it goes: a live tree with elapsed times on a terminal, one plain line per event elsewhere. */
export interface ProgressView {
  onProgress(progress: Progress): void;
  /** A line of detail below a running task (build log, "waiting for …"). */
  detail(name: string, text: string): void;
  begin(name: string, does: string): void;
  end(name: string, outcome: Ending, ms: number, reason?: string): void;
  /** Takes a task off the display without a word. */
  forget(name: string): void;
  /** Ends the live display, until the next task begins. What is done stays on the screen. Must be called on every way out, and before a question. */
  close(): void;
}

interface Task {
  readonly startedAt: number;
  readonly does: string;
  detail?: string;
}

/** A task's name may come from a server. */
const nameOf = (given: string): string => safeText(given, 400).replaceAll("\n", " ");

export function createProgressView(io: Io): ProgressView {
  const colors = paint(io.hasColor);
  const running = new Map<string, Task>();
  const view = io.isLive ? createLogUpdate(process.stderr, { showCursor: true }) : undefined;
  let frame = 0;
  const draw = (): void => {
    frame += 1;
    const lines = [...running].map(([name, task]) => {
      const head = `${colors.cyan(frames[frame % frames.length] ?? "")} ${name} ${colors.dim(`${task.does} ${duration(systemClock.now() - task.startedAt)}`)}`;
      return task.detail ? `${head}\n    ${colors.dim(task.detail.slice(0, Math.max(20, io.columns - 6)))}` : head;
    });
    if (lines.length > 0) view?.(lines.join("\n"));
    else view?.clear();
  };
  let stop: (() => void) | undefined;
  const start = (): void => {
    if (!view || stop) return;
    const release = io.writeAbove({ clear: view.clear, draw });
    const timer = setInterval(draw, 120);
    timer.unref();
    stop = () => {
      clearInterval(timer);
      release();
      view.clear();
      view.done();
    };
  };
  const color = (outcome: Ending): ((text: string) => string) =>
    outcome === "failed" ? colors.red : outcome === "kept" ? colors.dim : outcome === "skipped" ? colors.yellow : colors.green;
  const api: ProgressView = {
    begin: (given, does) => {
      const name = nameOf(given);
      start();
      running.set(name, { startedAt: running.get(name)?.startedAt ?? systemClock.now(), does });
      if (view) draw();
      else if (does !== "read") io.note(`… ${name}: ${does}`);
    },
    detail: (given, text) => {
      const name = nameOf(given);
      const task = running.get(name);
      const plain = safeText(text, 400).replaceAll("\n", " ");
      if (task) task.detail = plain;
      if (view) draw();
      else io.note(`  ${name}: ${plain}`);
    },
    end: (given, outcome, ms, reason) => {
      const name = nameOf(given);
      running.delete(name);
      const why = reason ? colors.dim(` ${safeText(reason, 300).split("\n")[0]}`) : "";
      io.note(
        `${color(outcome)(marks[outcome])} ${name} ${colors.dim(outcome)}${outcome === "kept" || outcome === "skipped" ? "" : colors.dim(` ${duration(ms)}`)}${why}`,
      );
    },
    forget: (name) => {
      running.delete(nameOf(name));
      if (view) draw();
    },
    onProgress: (progress) => {
      if (progress.kind === "begins") api.begin(progress.name, progress.does);
      else api.end(progress.report.name, progress.report.outcome, progress.report.ms, progress.report.reason);
    },
    close: () => {
      running.clear();
      stop?.();
      stop = undefined;
    },
  };
  return api;
}
