import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { describe, expect } from "vitest";
import { openTerminal } from "../support/terminal.ts";
import { watchedTest as test } from "../support/watched-cli.ts";

const bin = resolve(import.meta.dirname, "../../bin/passwordless-pg.js");
const hasScript = spawnSync("script", ["--version"]).status === 0;
const hasPsql = spawnSync("psql", ["--version"]).status === 0;

/** Clears the screen, sets the title, writes backwards, rings: in the 7-bit and the 8-bit form. */
const hostile = "\u009b2J\u009d2;owned\u009c\u202eevil\u2066\u001b]2;owned\u0007\u001b[2J\u001b[1A\u0008\u0007\r";
/** What of it a name in PostgreSQL and in ARM may hold. */
const hostileName = "t\u009b2J\u202ex\u2066";

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

const reading: readonly (readonly string[])[] = [
  ["plan"],
  ["status"],
  ["verify", "-v"],
  ["doctor", "-v"],
  ["server", "show"],
  ["webapp", "show"],
  ["connection", "list"],
  ["connection", "validate"],
  ["principal", "show"],
  ["firewall", "list"],
  ["local", "status"],
  ["local", "logs"],
];

const found = (text: string): string => JSON.stringify(steering.exec(text)?.[0] ?? "nothing");

describe.sequential("words of servers do not steer the terminal", () => {
  test.skipIf(!hasPsql)("names that are there: of tables, tags and rules", { timeout: 180_000 }, async ({ cli }) => {
    expect((await cli.run(["up", "--local", "--yes"])).code).toBe(0);
    const made = await cli.run(["connect", "--local"], {
      input: `create table public."${hostileName}" (id int); grant select on public."${hostileName}" to public;`,
    });
    expect([made.code, made.stderr]).toEqual([0, expect.anything()]);
    for (const [type, name] of [
      ["Microsoft.DBforPostgreSQL/flexibleServers", "canary-db-t3st?api-version=2024-08-01"],
      ["Microsoft.Web/sites", "canary-api-t3st?api-version=2024-04-01"],
    ]) {
      const path = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/${type}/${name}`;
      const { body } = await cli.emulator.arm("GET", path);
      const answer = await cli.emulator.arm("PATCH", path, { tags: { ...body.tags, [`tag-${hostileName}`]: hostile } });
      expect(answer.status).toBeLessThan(300);
    }
    const heard: string[] = [];
    for (const args of reading) {
      const run = await cli.run([...args, ...(args[0] === "local" ? [] : ["--local"])]);
      heard.push(run.stdout);
      expect([args, found(run.stdout), found(run.stderr)]).toEqual([args, '"nothing"', '"nothing"']);
    }
    // They were told, and so that they can be recognised.
    expect(heard.join("\n")).toContain("t\\u009b2J\\u202ex\\u2066");
  });

  // A refusal of each kind, told by a command that meets it: that all words go through one place is held by io's own tests.
  test.for<[string, object, string]>([
    [
      "ARM, in its message",
      { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 403, message: hostile } },
      "verify",
    ],
    ["ARM, in its code", { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 400, code: hostile } }, "status"],
    [
      "Entra",
      { host: "azure", path: "*/oauth2/*", action: { kind: "status", status: 400, body: { error: "x", error_description: hostile } } },
      "plan",
    ],
    ["the SCM site", { host: "scm:*", action: { kind: "status", status: 403, body: hostile } }, "deploy --force"],
    ["the app", { host: "site:*", action: { kind: "status", status: 404, body: hostile } }, "doctor"],
    [
      "PostgreSQL at the login",
      { host: "postgres:*", method: "LOGIN", action: { kind: "sql-error", sqlState: "28000", message: hostile } },
      "principal show",
    ],
  ])("a refusal of %s", { timeout: 120_000 }, async ([, fault, command], { cli }) => {
    cli.emulator.faults.add(fault as never);
    try {
      const run = await cli.run([...command.split(" "), "--local"]);
      expect(run.code).toBeGreaterThan(0);
      expect([command, found(run.stdout), found(run.stderr)]).toEqual([command, '"nothing"', '"nothing"']);
    } finally {
      cli.emulator.faults.clear();
    }
  });

  test.skipIf(!hasScript)("nor where there are colours", { timeout: 120_000 }, async ({ cli }) => {
    const fault = { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 403, code: "Forbidden", message: hostile } };
    cli.emulator.faults.add(fault as never);
    try {
      for (const args of [["verify"], ["down"], ["server", "show"]]) {
        const terminal = openTerminal([process.execPath, bin, ...args, "--local"], { cwd: cli.project, environment: cli.environment });
        await terminal.ended;
        // Our own display moves the cursor; nothing of ours has these.
        expect([args, /\u009b|\u009d|\u202e|\u2066|\]2;|\[2J|owned/.exec(terminal.written())?.[0]]).toEqual([args, undefined]);
      }
    } finally {
      cli.emulator.faults.clear();
    }
  });
});
