import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { exitOf, type TestCli } from "../../support/cli.ts";
import { openAddressService } from "./address-service.ts";
import { type Finished, finish, type LocalAzure, startLocalAzure, variablesOf } from "./local-azure.ts";
import { azureCli } from "./virtual-environment.ts";

/** An installed azure-cli that is signed in to its own local Azure. */
export interface Az {
  readonly version: string;
  /** Before the commands for PostgreSQL were written anew (2.8x): other names of some arguments. */
  readonly isEarly: boolean;
  readonly local: LocalAzure;
  /** Runs `az` with words of a shell line: blanks part them, double quotes keep them together. */
  (line: string, more?: { readonly cwd?: string }): Promise<Finished>;
  /** Runs it, wants exit code 0, and reads what it printed as JSON (`undefined` when nothing). */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json(line: string, more?: { readonly cwd?: string }): Promise<any>;
  /** Runs it until a line of its output satisfies `isLast`, then ends it. */
  until(line: string, isLast: (text: string) => boolean): Promise<string>;
  release(): Promise<void>;
}

/** Starts local Azure, and signs az in with the lines of `local env --format az`, as a person does. */
export async function signInAz(cli: TestCli, wantedVersion: string): Promise<Az> {
  const { version, bin } = await azureCli(wantedVersion);
  const local = await startLocalAzure(cli);
  const addresses = await openAddressService(cli.home);
  const configuration = join(cli.home, "az-configuration");
  mkdirSync(configuration);
  const printed = (await cli.run(["local", "env", "--format", "az"])).stdout;
  const shell = await variablesOf(printed, cli.home, {
    PATH: `${bin}:${process.env.PATH}`,
    AZURE_CONFIG_DIR: configuration,
    AZURE_CORE_COLLECT_TELEMETRY: "0",
    AZURE_CORE_NO_COLOR: "1",
    AZURE_EXTENSION_USE_DYNAMIC_INSTALL: "no",
    HTTPS_PROXY: addresses.proxy,
    NO_PROXY: "localhost,127.0.0.1",
  });
  const environment = { ...shell, REQUESTS_CA_BUNDLE: addresses.bundle };
  const run = (line: string, more: { readonly cwd?: string } = {}): Promise<Finished> =>
    finish(join(bin, "az"), words(line), { env: environment, cwd: more.cwd ?? cli.home, timeoutMs: 240_000 });
  const helpers = {
    version,
    isEarly: Number(version.split(".")[1]) < 80,
    local,
    json: async (line: string, more?: { readonly cwd?: string }) => {
      const { code, stdout, stderr } = await run(line, more);
      expect(code, `az ${line}\n${stderr}`).toBe(0);
      return stdout.trim() === "" ? undefined : JSON.parse(stdout);
    },
    until: async (line: string, isLast: (text: string) => boolean) => {
      const child = spawn(join(bin, "az"), words(line), { env: environment, cwd: cli.home, stdio: ["pipe", "pipe", "pipe"] });
      const ended = exitOf(child);
      const alarm = setTimeout(() => child.kill("SIGKILL"), 60_000);
      let text = "";
      const read = (part: string): void => {
        text += part;
        if (isLast(text)) child.kill("SIGINT");
      };
      child.stdout.setEncoding("utf8").on("data", read);
      child.stderr.setEncoding("utf8").on("data", read);
      await ended;
      clearTimeout(alarm);
      return text;
    },
    release: () => addresses.close(),
  };
  return Object.assign(run, helpers);
}

function words(line: string): string[] {
  return [...line.matchAll(/(?:"([^"]*)"|([^\s"]+))+/g)].map(([word]) => word.replaceAll('"', ""));
}

/** `psql` or `pgbench` where PostgreSQL's client programs are installed. */
export function hasPostgresClients(): boolean {
  return ["psql", "pgbench"].every((name) => (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, name))));
}
