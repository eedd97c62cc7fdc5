import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { cliTest as test } from "../support/cli.ts";

interface UpBody {
  readonly ok: boolean;
  readonly server: { readonly host: string };
  readonly apps: Record<string, { readonly url: string }>;
}

describe.sequential("two projects in one local Azure", () => {
  const folders: string[] = [];
  const bodies: UpBody[] = [];

  test("the Express template keeps a row through its token", async ({ cli }) => {
    const folder = cli.folder();
    const { code, stdout, stderr } = await cli.run([
      "up",
      "--local",
      "--template",
      "express",
      "--yes",
      "--json",
      "--name",
      "first",
      folder,
    ]);
    expect(code, stderr).toBe(0);
    const body = JSON.parse(stdout) as UpBody;
    expect(body.ok).toBe(true);
    const url = body.apps.api?.url;
    const posted = await fetch(`${url}/items`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"name":"a lamp"}',
    });
    expect(posted.status).toBe(201);
    const { items } = (await (await fetch(`${url}/items`)).json()) as { items: { name: string }[] };
    expect(items.map(({ name }) => name)).toContain("a lamp");
    folders.push(folder);
    bodies.push(body);
  });

  test("a second project has a server of its own and leaves the first alone", async ({ cli }) => {
    const folder = cli.folder();
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "second", version: "1.0.0", scripts: { start: "node server.js" } }));
    writeFileSync(
      join(folder, "server.js"),
      'require("node:http").createServer((_, answer) => answer.end("second")).listen(process.env.PORT);\n',
    );
    const { code, stdout, stderr } = await cli.run(["up", "--local", "--yes", "--json", "--name", "second", folder]);
    expect(code, stderr).toBe(0);
    const body = JSON.parse(stdout) as UpBody;
    expect(body.server.host).not.toBe(bodies[0]?.server.host);
    expect(await (await fetch(body.apps.api?.url ?? "")).text()).toBe("second");
    folders.push(folder);
  });

  test("down of the second leaves the first as it is", async ({ cli }) => {
    expect((await cli.run(["down", "--local", "--yes", folders[1] ?? ""])).code).toBe(0);
    const verify = await cli.run(["verify", "--local", "--json", folders[0] ?? ""]);
    expect(verify.code, verify.stdout).toBe(0);
  });

  test("logs download writes a zip for its owner only, and never over a file", async ({ cli }) => {
    const file = join(folders[0] ?? "", "logs.zip");
    expect((await cli.run(["logs", "download", "--local", "-o", file, folders[0] ?? ""])).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await cli.run(["logs", "download", "--local", "-o", file, folders[0] ?? ""]);
    expect(again.code, again.stderr).toBe(2);
    expect(again.stderr).toMatch(/exists already/);
  });
});
