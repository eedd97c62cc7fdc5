import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect } from "vitest";
import { cliTest as test } from "../support/cli.ts";
import { finish, type LocalAzure, startLocalAzure } from "./support/local-azure.ts";
import { writeObserved } from "./support/observed.ts";
import { cache } from "./support/virtual-environment.ts";

const source = resolve(import.meta.dirname, "support/go-sdk");
let local: LocalAzure | undefined;

describe("the Azure SDK for Go", () => {
  test("signs in, makes, reads, changes and deletes a group, a server and a web app", async ({ cli, skip }) => {
    const environment = { ...process.env, GOTOOLCHAIN: "local" };
    const version = await finish("go", ["version"], { env: environment }).catch(() => undefined);
    if (version?.code !== 0) skip("no go on this machine");
    mkdirSync(cache, { recursive: true });
    const program = join(cache, "go-sdk");
    const built = await finish("go", ["build", "-o", program, "."], { cwd: source, env: environment, timeoutMs: 480_000 });
    if (/dial tcp|no such host|resolve host|proxyconnect|module lookup disabled/i.test(built.stderr))
      skip("no network to fetch Go's modules");
    if (/go.mod requires go/.test(built.stderr)) skip(`the modules want a newer one than ${version?.stdout}`);
    expect(built.code, built.stderr).toBe(0);

    local = await startLocalAzure(cli);
    const password = randomBytes(18).toString("base64url");
    const { code, stdout, stderr } = await finish(program, [], { env: { ...local.variables, GO_TEST_PASSWORD: `${password}Aa1.` } });
    expect(code, stderr).toBe(0);
    expect(stdout.trim().split("\n")).toEqual(["server Ready", "tags shop", "site identity 36", "resources 3", "group there false"]);
  }, 600_000);
});

afterAll(async () => {
  if (local) await writeObserved("Go SDK", local);
});
