import { spawn } from "node:child_process";

/** How a program ended: by itself or by a signal. */
export interface ForegroundEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs a program on this process's own terminal. Rejects with what the system says when it cannot be started, and with AbortError. */
export function runForeground(program: string, env: Readonly<Record<string, string>>, cancel: AbortSignal): Promise<ForegroundEnd> {
  return new Promise((done, fail) => {
    const child = spawn(program, [], { stdio: "inherit", env, signal: cancel });
    child.once("error", fail);
    child.once("close", (exitCode, signal) => done({ exitCode, signal }));
  });
}
