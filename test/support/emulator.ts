import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientSecretCredential } from "@azure/identity";
import { test as base } from "vitest";
import { type Emulator, startEmulator } from "../../src/emulator/emulator.ts";
import type { EmulatorOptions } from "../../src/emulator/emulator-options.ts";
import { audiences } from "../../src/emulator/platform.ts";
import { PATIENCE_MS } from "./patience.ts";
import { keepTemplates, lendTemplates } from "./templates.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed when it is JSON, else the text; `undefined` when empty. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
  readonly text: string;
}

/** A local Azure in a temporary home, with the ways tests talk to it. */
export interface TestEmulator extends Emulator {
  readonly homeFolder: string;
  /** `/subscriptions/{the one}` */
  readonly subscription: string;
  /** A request to ARM with a valid token of the seeded service principal (or `headers.authorization`). `path` may be a whole URL. */
  arm(method: string, path: string, body?: unknown, more?: { headers?: Record<string, string> }): Promise<Answer>;
  /** Any HTTPS request with the CA trusted and no token. */
  fetch(url: string, init?: { method?: string; headers?: Record<string, string>; body?: string | Buffer }): Promise<Answer>;
  /** Repeats an ARM GET until its answer satisfies `isDone`; fails after `timeoutMs`, by default with the patience of all tests. */
  until(path: string, isDone: (answer: Answer) => boolean, timeoutMs?: number): Promise<Answer>;
  /** A token for a principal by object ID, app ID, UPN or display name. */
  tokenFor(principal: string, audience: string, options?: { lifetimeSeconds?: number; flaw?: string }): Promise<string>;
  /** The unmodified credential of @azure/identity. */
  readonly credential: ClientSecretCredential;
  /** Makes a resource group and gives its ID. */
  group(name?: string): Promise<string>;
  /** Ends it and starts it again on the same home. */
  restart(): Promise<TestEmulator>;
}

/** For tests that need their own start; close it with `release`. */
export async function startTestEmulator(
  options: Partial<EmulatorOptions> = {},
): Promise<{ emulator: TestEmulator; release: () => Promise<void> }> {
  const homeFolder = options.homeFolder ?? mkdtempSync(join(tmpdir(), "ppg-"));
  lendTemplates(homeFolder);
  const running: Emulator[] = [];
  const bugs: string[] = [];
  const log = (line: string): void => {
    options.log?.(line);
    if (line.startsWith("bug:")) bugs.push(line);
  };
  const open = async (): Promise<TestEmulator> => {
    const started = await startEmulator({ ...options, homeFolder, log });
    running.push(started);
    return withHelpers(started, homeFolder, async () => {
      await started.close();
      return await open();
    });
  };
  const emulator = await open();
  return {
    emulator,
    release: async () => {
      for (const one of running) await one.close();
      keepTemplates(homeFolder);
      rmSync(homeFolder, { recursive: true, force: true });
      if (bugs.length > 0) throw new Error(`Local Azure met its own bugs:\n${bugs.join("\n")}`);
    },
  };
}

/** Each test gets a fresh local Azure as `emulator`. */
export const test = base.extend<{ emulator: TestEmulator }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  emulator: async ({}, use) => {
    const { emulator, release } = await startTestEmulator();
    await use(emulator);
    await release();
  },
});

/** All tests of a file share one local Azure as `emulator`. */
export const fileTest = base.extend<{ $file: { emulator: TestEmulator } }>({
  emulator: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (emulator: TestEmulator) => Promise<void>) => {
      const { emulator, release } = await startTestEmulator();
      await use(emulator);
      await release();
    },
    { scope: "file" },
  ],
});

function withHelpers(emulator: Emulator, homeFolder: string, restart: () => Promise<TestEmulator>): TestEmulator {
  const { endpoints, platform, caPem } = emulator;
  const subscription = `/subscriptions/${endpoints.subscriptionId}`;
  const app = platform.directory.findByAppId(emulator.clientId);
  if (!app) throw new Error("The seeded service principal is missing.");

  const call: TestEmulator["fetch"] = (url, init = {}) => httpsCall(url, caPem, init);
  const arm: TestEmulator["arm"] = (method, path, body, more = {}) => {
    const { token } = platform.tokens.mint(app, audiences.resourceManager[0]);
    const url = path.startsWith("https://") ? path : `${endpoints.resourceManager}${path}`;
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more.headers,
    };
    return call(url, { method, headers, ...content });
  };
  return {
    ...emulator,
    homeFolder,
    subscription,
    arm,
    fetch: call,
    until: async (path, isDone, timeoutMs = PATIENCE_MS) => {
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const answer = await arm("GET", path);
        if (isDone(answer)) return answer;
        if (Date.now() > deadline) throw new Error(`Not reached in ${timeoutMs} ms: ${path} last said ${answer.status} ${answer.text}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    tokenFor: async (principal, audience, options = {}) => {
      const answer = await call(`${emulator.control.url}/_local/tokens`, {
        method: "POST",
        headers: { authorization: `Bearer ${emulator.control.key}`, "content-type": "application/json" },
        body: JSON.stringify({ principal, audience, ...options }),
      });
      if (answer.status !== 200) throw new Error(`No token: ${answer.text}`);
      return answer.body.token as string;
    },
    credential: new ClientSecretCredential(endpoints.tenantId, emulator.clientId, readFileSync(emulator.clientSecretFile, "utf8"), {
      authorityHost: endpoints.authority,
      disableInstanceDiscovery: true,
      tlsOptions: { ca: caPem },
    }),
    group: async (name = "rg-test") => {
      const id = `${subscription}/resourceGroups/${name}`;
      const answer = await arm("PUT", `${id}?api-version=2021-04-01`, { location: "eastus" });
      if (answer.status > 201) throw new Error(`No group: ${answer.text}`);
      return id;
    },
    restart,
  };
}

/** One HTTPS request that trusts `ca`, on a connection of its own. */
export function httpsCall(
  url: string,
  ca: string,
  init: { method?: string; headers?: Record<string, string>; body?: string | Buffer },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { ...init.headers, ...(init.body === undefined ? {} : { "content-length": String(Buffer.byteLength(init.body)) }) };
    const outgoing = request(url, { method: init.method ?? "GET", headers, ca, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        const answerHeaders = new Headers();
        for (let index = 0; index + 1 < response.rawHeaders.length; index += 2) {
          answerHeaders.append(response.rawHeaders[index] ?? "", response.rawHeaders[index + 1] ?? "");
        }
        resolve({ status: response.statusCode ?? 0, headers: answerHeaders, body: parsed(text), text });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(init.body);
  });
}

function parsed(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
