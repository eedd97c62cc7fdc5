import { execFile, type SpawnOptions, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestCli } from "../../support/cli.ts";

const run = promisify(execFile);

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `local env --json` says. */
interface LocalEnvironment {
  readonly AZURE_TENANT_ID: string;
  readonly AZURE_CLIENT_ID: string;
  readonly AZURE_SUBSCRIPTION_ID: string;
  readonly AZURE_RESOURCE_MANAGER: string;
  readonly NODE_EXTRA_CA_CERTS: string;
  readonly clientSecretFile: string;
}

/** A started local Azure as other clients meet it. */
export interface LocalAzure {
  readonly home: string;
  readonly environment: LocalEnvironment;
  /** Environment variables as `eval "$(passwordless-pg local env)"` sets them, on top of the few a process needs. */
  readonly variables: Record<string, string>;
  /** The control API. */
  control(method: string, path: string, body?: unknown): Promise<unknown>;
}

export async function startLocalAzure(cli: TestCli): Promise<LocalAzure> {
  const started = await cli.run(["local", "start", "--json"]);
  if (started.code !== 0) throw new Error(started.stderr);
  const environment = JSON.parse((await cli.run(["local", "env", "--json"])).stdout) as LocalEnvironment;
  const variables = await variablesOf((await cli.run(["local", "env"])).stdout, cli.home);
  const key = readFileSync(join(cli.home, "keys/control-key"), "utf8").trim();
  const ca = readFileSync(environment.NODE_EXTRA_CA_CERTS, "utf8");
  return {
    home: cli.home,
    environment,
    variables,
    control: async (method, path, body) => {
      const text = await send(`${environment.AZURE_RESOURCE_MANAGER}/_local/${path}`, { method, key, ca, body });
      return text === "" ? undefined : JSON.parse(text);
    },
  };
}

/** Runs a shell script as a person does, and gives the variables it leaves. */
export async function variablesOf(script: string, home: string, more: Record<string, string> = {}): Promise<Record<string, string>> {
  const base = { PATH: process.env.PATH ?? "", HOME: home, ...more };
  const { stdout } = await run("bash", ["-e", "-c", `${script}\nenv -0`], { env: base });
  const entries = stdout.split("\0").flatMap((line) => {
    const at = line.indexOf("=");
    const name = line.slice(line.lastIndexOf("\n", at) + 1, at);
    return at > 0 && /^[A-Z][A-Z0-9_]*$/.test(name) ? [[name, line.slice(at + 1)] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** Runs a program to its end. */
export function finish(
  program: string,
  args: readonly string[],
  options: SpawnOptions & { input?: string; timeoutMs?: number } = {},
): Promise<Finished> {
  const { input, timeoutMs = 120_000, ...rest } = options;
  return new Promise((done, fail) => {
    const child = spawn(program, args, { ...rest, stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.once("error", fail);
    child.once("close", (code) => done({ code, stdout, stderr }));
    child.stdin.on("error", () => {}); // it may not read
    child.stdin.end(input ?? "");
  });
}

function send(url: string, { method, key, ca, body }: { method: string; key: string; ca: string; body: unknown }): Promise<string> {
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const sent = request(url, { method, ca, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.once("end", () => ((response.statusCode ?? 500) < 300 ? done(text) : fail(new Error(`${method} ${url}: ${text}`))));
    });
    sent.once("error", fail);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
