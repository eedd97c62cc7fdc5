import { rm } from "node:fs/promises";
import { isLocalRunning } from "../local/ensure-local.ts";
import { makeTemporaryFolder } from "../temporary-folder.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { createProgressView } from "../terminal/progress-view.ts";
import { paint } from "../terminal/style.ts";
import { down } from "./down.ts";
import { stop as stopLocal } from "./local.ts";
import { up } from "./up.ts";

/** The main job in a temporary folder on local Azure; leaves nothing running unless --keep. */
export async function demo(io: Io, options: { readonly keep?: boolean; readonly template?: string } & GlobalOptions): Promise<number> {
  const { bold, dim } = paint(io.hasColor);
  const wasRunning = await isLocalRunning(io);
  const folder = await makeTemporaryFolder("passwordless-pg-demo-");
  const template = options.template ?? "fastapi";
  io.note(bold(`passwordless-pg up --local --template ${template} ${folder}`));
  const flags = { ...options, local: true, yes: true };
  let code = 1;
  try {
    code = await up(io, { ...flags, template, name: "demo" }, folder);
    if (!io.isJson) io.note(nextSteps(folder, options.keep === true).join("\n"));
    return code;
  } finally {
    if (!options.keep) {
      io.note(dim("tidying up (use --keep to leave it running)"));
      await tidyUp(io, { ...flags, quiet: true }, folder, wasRunning);
    }
  }
}

function nextSteps(folder: string, isKept: boolean): string[] {
  const head = isKept
    ? `It goes on running. The app is in ${folder}; from there:`
    : "How to go on, in a folder of yours or after `npm run demo -- --keep`:";
  return [
    "",
    head,
    "  passwordless-pg logs tail --local     the app's log, live",
    "  passwordless-pg connect --local       psql with a fresh token",
    "  passwordless-pg verify --local        the proof again",
    "  passwordless-pg deploy --local        after a change",
    "  passwordless-pg down --local          remove what was made",
    "  passwordless-pg local stop            stop local Azure",
  ];
}

/** Also after Ctrl-C, when the run's own signal is aborted already. */
async function tidyUp(io: Io, flags: GlobalOptions, folder: string, wasRunning: boolean): Promise<void> {
  const fresh: Io = {
    ...io,
    signal: AbortSignal.timeout(60_000),
    isJson: false,
    progress: createProgressView({ clock: io.clock, hasColor: false, note: () => {} }),
    note: () => {},
    result: () => {},
    document: () => {},
    verbatim: () => {},
  };
  try {
    if (await isLocalRunning(fresh)) await down(fresh, flags, folder);
  } finally {
    if (!wasRunning) await stopLocal(fresh);
    await rm(folder, { recursive: true, force: true });
  }
}
