import { readFile, stat } from "node:fs/promises";
import http from "node:http";
import { join } from "node:path";
import { type Interpreter, parseRuntime } from "../runtime.ts";
import type { DeployedApp } from "./description.ts";
import type { WorkerImage, WorkerStart } from "./worker-image.ts";

/** What Oryx's `create-script` finds in an app folder; without a command it is the default site. */
export interface Detection {
  readonly command?: string;
  readonly reason: string;
}

/** One stack of App Service's web apps. */
interface WebStack {
  readonly name: "python" | "node" | "other";
  /** The platform's well-known port, which becomes the instance's own. */
  readonly port: number;
  interpreter(version: string): Promise<Interpreter | undefined>;
  /** Shell text that is run where the interpreter is missing. */
  readonly withoutInterpreter?: string;
  detect(folder: string, version: string): Promise<Detection>;
  programs(interpreter: Interpreter): Readonly<Record<string, string>>;
  readonly environment: WorkerImage["environment"];
}

/** The image of a web app's stack: Oryx chooses the start, and any HTTP answer means that the app is up. */
export function webAppImage(stack: WebStack): WorkerImage {
  return { start: (app) => startWebApp(stack, app), probe: answersHttp, environment: stack.environment };
}

async function startWebApp(stack: WebStack, app: DeployedApp): Promise<WorkerStart> {
  const { linuxFxVersion, appCommandLine, appFolder } = app;
  const { version } = parseRuntime(linuxFxVersion);
  const { command, reason } = (await ownCommand(appFolder, appCommandLine.trim())) ?? (await stack.detect(appFolder, version));
  const interpreter = await stack.interpreter(version);
  return {
    image: `appsvc/${stack.name}:${version}`,
    version: `${stack.name.toUpperCase()} ${interpreter?.version ?? version}`,
    console: [
      `   _____`,
      `  A P P   S E R V I C E   O N   L I N U X   (local Azure)`,
      `${linuxFxVersion} stands on ${interpreter ? `${interpreter.version} (${interpreter.path})` : "nothing: no interpreter found"}`,
      appCommandLine ? `Site's appCommandLine: ${appCommandLine}` : "App Command Line not configured, will attempt auto-detect",
      `Launching oryx with: create-script -appPath ${appFolder} -output /opt/startup/startup.sh -virtualEnvName antenv -defaultApp /opt/defaultsite`,
      reason,
    ],
    ...(command === undefined ? {} : { command: (!interpreter && stack.withoutInterpreter) || onLoopback(command, stack.port) }),
    programs: interpreter ? stack.programs(interpreter) : {},
  };
}

/** Site config "startup command": shell text, or the name of a file in the app. It wins over everything Oryx would find. */
async function ownCommand(folder: string, text: string): Promise<Detection | undefined> {
  if (text === "") return undefined;
  const reason = `Site's appCommandLine: ${text}`;
  if (/[\s;|&]/.test(text) || !(await isFile(join(folder, text)))) return { command: text, reason };
  return { command: text.endsWith(".txt") ? (await readFile(join(folder, text), "utf8")).trim() : `sh ./${text}`, reason };
}

/**
 * Moves a start command from Azure's container to this machine: every address becomes 127.0.0.1, and the platform's
 * well-known port (8000 Python, 8080 Node) becomes the instance's own.
 */
export function onLoopback(command: string, port: number): string {
  return command
    .replace(/(?<![\d.])0\.0\.0\.0(?![\d.])/g, "127.0.0.1")
    .replace(/\[::\]/g, "127.0.0.1")
    .replace(/(--host(?:=|\s+)["']?)::(?=["'\s]|$)/g, "$1127.0.0.1")
    .replace(/((?:--bind|-b)(?:=|\s+)["']?):(?=\$?\w)/g, "$1127.0.0.1:")
    .replace(new RegExp(`((?:127\\.0\\.0\\.1|localhost):|(?:--port|-p)(?:=|\\s+)["']?)${port}(?!\\d)`, "g"), "$1$PORT");
}

/** Asks `/robots933456.txt`; any HTTP answer counts (azure/appservice.md 3.3). */
function answersHttp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, path: "/robots933456.txt", timeout: 30_000, agent: false }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}
