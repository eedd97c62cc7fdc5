import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { plainApp, test } from "../support/command-line.ts";

const noStack = /\n\s+at .*:\d+:\d+/;

describe("a newcomer's project file", () => {
  test.for<[string, string | Buffer, RegExp]>([
    ["is not JSON", '{"name": "orders",}', /is not JSON/],
    ["is empty", "", /is empty[\s\S]*remove it and run/],
    ["is null", "null", /the file: must be object/],
    ["is UTF-16", Buffer.from("\uFEFF{}", "utf16le"), /is UTF-16[\s\S]*UTF-8/],
    ["has comments", '{ // mine\n"name":"shop"}', /is not JSON[\s\S]*comments/],
    ["begins with a byte order mark, as some editors write it", '\uFEFF{"name":"shop","locatoin":"x"}', /has 1 problem[\s\S]*locatoin/],
  ])("%s", async ([_what, content, words], { cli }) => {
    const directory = cli.folder();
    writeFileSync(join(directory, "passwordless-pg.json"), content);
    const { code, said } = await cli.run("plan", { directory });
    expect([code, said]).toEqual([2, expect.stringMatching(words)]);
    expect(said).toMatch(/\n {2}→ /);
    expect(said).not.toMatch(noStack);
  });

  test("has several problems: all of them, before anything is touched", async ({ cli }) => {
    const directory = cli.folder({ "passwordless-pg.json": '{"name":"Orders","locatoin":"eastus","server":{"version":"9"}}' });
    const before = cli.emulator.journal.entries().length;
    const { code, documents } = await cli.run("init --yes --json", { directory });
    expect(code).toBe(2);
    const [{ error }] = documents as [{ error: { code: string; message: string } }];
    expect(error.code).toBe("project/invalid");
    for (const part of ["name", "locatoin", "server.version"]) expect(error.message).toContain(part);
    expect(cli.emulator.journal.entries()).toHaveLength(before);
  });

  test("is a folder", async ({ cli }) => {
    const directory = cli.folder();
    mkdirSync(join(directory, "passwordless-pg.json"));
    const { code, said } = await cli.run("plan", { directory });
    expect([code, said]).toEqual([2, expect.stringMatching(/is a folder, not a project file[\s\S]*→/)]);
  });

  test("names another group, then another app: said before anything is made, and what is left over", async ({ cli }) => {
    const directory = cli.folder(plainApp);
    expect((await cli.run("webapp create --yes --name moved", { directory })).code).toBe(0);
    const file = join(directory, "passwordless-pg.json");
    const written = JSON.parse(readFileSync(file, "utf8")) as { apps: { api: { name: string } } };
    const { name } = written.apps.api;
    writeFileSync(file, JSON.stringify({ ...written, resourceGroup: "rg-elsewhere" }));
    const planned = await cli.run("plan", { directory });
    expect([planned.code, planned.results]).toEqual([3, [expect.stringMatching(/blocked +web app .* is in the resource group rg-moved/)]]);
    expect(planned.results[0]).toMatch(/Nothing would change\.\n\d+ of \d+ steps are blocked\./);
    const refused = await cli.run("init --yes", { directory });
    expect([refused.code, refused.said]).toEqual([
      6,
      expect.stringMatching(/✗ resource group: web app .* is in the resource group rg-moved .*\n +→ set "resourceGroup": "rg-moved"/),
    ]);
    writeFileSync(file, JSON.stringify({ ...written, apps: { api: { ...written.apps.api, name: "moved-again" } } }));
    const detail = expect.stringContaining(`web app ${name} (App Service plan ${name}-plan) carries this project's tag`);
    for (const command of ["status", "plan"]) {
      const { documents } = await cli.run(`${command} --json`, { directory });
      expect(documents).toEqual([
        expect.objectContaining({ warnings: [expect.objectContaining({ name: "no web app is left over", detail })] }),
      ]);
    }
  });
});

describe("a newcomer's folder", () => {
  test.for<[string, string, RegExp]>([
    ["the template is not there", "up --template django --yes empty", /there is no template "django"[\s\S]*express, fastapi/],
    ["the project file that is named is not there", "plan --config nowhere.json", /nowhere\.json does not exist/],
    ["it does not exist", "plan nowhere", /folder .*nowhere does not exist/],
    ["the template cannot be laid into it", "init --yes --template fastapi file/new", /cannot be laid into .*file\/new[\s\S]*→/],
    ["nothing in it says what app it is", "up --yes .", /nothing in \. says what kind of app it is/],
    ["nobody can answer and --yes is missing", "init --name quiet .", /add --yes/],
  ])("%s: 2, and nothing is written", async ([_what, words, wanted], { cli }) => {
    const directory = cli.folder({ file: "" });
    const { code, said, documents, results } = await cli.run(words, { directory });
    expect([code, said]).toEqual([2, expect.stringMatching(wanted)]);
    expect(said).not.toMatch(noStack);
    expect([...documents, ...results]).toEqual([]);
    expect(readdirSync(directory)).toEqual(["file"]);
  });

  test("holds a key: nothing is made, nothing goes up, until it is meant", async ({ cli }) => {
    const directory = cli.folder({ ...plainApp, "server.key": "x", ".env.production": "A=1" });
    const refused = await cli.run("up --yes --json --name keys", { directory });
    expect([refused.code, refused.documents]).toEqual([
      2,
      [
        expect.objectContaining({
          error: expect.objectContaining({
            code: "deploy/package-invalid",
            message: expect.stringContaining("server.key: looks like a private key"),
            hint: expect.stringContaining("--include server.key"),
          }),
        }),
      ],
    ]);
    const plan = await cli.run("plan --json", { directory });
    const [{ steps }] = plan.documents as [{ steps: { change: string }[] }];
    expect(new Set(steps.map(({ change }) => change))).toEqual(new Set(["create"]));
    const up = await cli.run("up --yes --include server.key", { directory });
    expect(up.code, up.said).toBe(0);
    expect(up.messages.filter((text) => text === "api: credentials stay out of the package: .env.production")).toHaveLength(1);
    expect(await cli.run("deploy", { directory })).toMatchObject({ code: 2, said: expect.stringMatching(/server\.key/) });
    const again = await cli.run("deploy --json --include server.key", { directory });
    expect(again.documents).toEqual([expect.objectContaining({ outcome: "unchanged" })]);
  });
});

describe("a newcomer's app", () => {
  test("does not build: the part of the log that says why", async ({ cli }) => {
    const directory = cli.folder({ "app.py": "print()\n", "requirements.txt": "passwordless-pg-no-such-package==9.9.9\n" });
    const { code, said } = await cli.run("up --yes --name broken", { directory });
    expect([code, said]).toEqual([1, expect.stringMatching(/No matching distribution found for passwordless-pg-no-such-package/)]);
    expect(said).not.toMatch(noStack);
  });

  test("does not start, and says much after its error: the error all the same", async ({ cli }) => {
    const noise = 'process.on("exit", () => { for (let n = 0; n < 50; n += 1) console.log("goodbye " + n); });';
    const directory = cli.folder({ ...plainApp, "server.js": `${noise}\nthrow new Error("no idea where I am");\n` });
    const { code, documents } = await cli.run("up --yes --json --name talking", { directory });
    expect(code).toBe(1);
    const [{ error }] = documents as [{ error: { code: string; message: string } }];
    expect(error).toMatchObject({
      code: "deploy/start-failed",
      message: expect.stringMatching(/Error: no idea where I am\n\s+at .*server\.js:2/),
    });
    expect(error.message.split("\n").length).toBeLessThan(35);
  });

  test("goes back to the old code after a failed deployment: it is deployed, not taken for unchanged", async ({ cli }) => {
    const directory = cli.folder(plainApp);
    expect((await cli.run("up --yes --name rollback", { directory })).code).toBe(0);
    writeFileSync(join(directory, "server.js"), 'throw new Error("broken");\n');
    expect((await cli.run("deploy", { directory })).code).toBe(1);
    writeFileSync(join(directory, "server.js"), plainApp["server.js"]);
    const back = await cli.run("deploy --json", { directory });
    expect([back.code, back.documents]).toEqual([0, [expect.objectContaining({ outcome: "deployed" })]]);
  });
});
