import { execa } from "execa";
import { rememberGroup, signalGroup } from "../process.ts";
import { BuildFailure, type BuildRequest } from "./request.ts";

/** Runs a tool in the app's folder, with its output as log lines. Throws `BuildFailure` with the line that tells why. The tool keeps this machine's own settings (proxies, registries). */
export async function runTool(request: BuildRequest, command: string, args: readonly string[]): Promise<void> {
  const child = execa(command, args, {
    cwd: request.folder,
    env: toolSettings(request.appSettings),
    all: true,
    buffer: false,
    reject: false,
    stdin: "ignore",
    detached: true, // a group of its own, so that no grandchild outlives it
  });
  const forget = child.pid === undefined ? () => {} : rememberGroup(child.pid, request.owner, request.store);
  const end = (): void => {
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  };
  if (request.signal.aborted) end();
  request.signal.addEventListener("abort", end);
  let lastError = "";
  for await (const line of child.iterable({ from: "all" })) {
    if (line.trim() === "") continue;
    const isError = /^(error\b|npm (err!|error)\b)/i.test(line.trim());
    if (isError && (lastError === "" || /no matching distribution|could not find/i.test(line))) lastError = line.trim();
    request.say(line, isError ? 2 : 0);
  }
  const result = await child;
  request.signal.removeEventListener("abort", end);
  forget();
  request.signal.throwIfAborted();
  if (!result.failed) return;
  const why = lastError || result.originalMessage || `exit code ${result.exitCode}`;
  request.say(`${command.split("/").at(-1)} failed with exit code ${result.exitCode ?? "none"}`, 2);
  throw new BuildFailure(why);
}

/** The app's settings without those that would lead the tool itself astray. */
function toolSettings(appSettings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(appSettings).filter(([name]) => !/^(PATH|HOME|PYTHON.*|NODE_OPTIONS|NODE_ENV|LD_.*)$/i.test(name)),
  );
}
