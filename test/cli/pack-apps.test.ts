import { join } from "node:path";
import { expect } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { packApps } from "../../src/cli/pack-apps.ts";
import { createSetup } from "../../src/project/setup.ts";
import type { SiteSetup } from "../../src/project/site-setup.ts";
import { validateProject } from "../../src/project/validate.ts";
import { test, write } from "../package/temporary-folder.ts";
import { createFakeIo } from "../support/io.ts";

function appsOf(folder: string, apps: Readonly<Record<string, object>>): readonly SiteSetup[] {
  const file = {
    name: "shop",
    apps: Object.fromEntries(Object.entries(apps).map(([key, app]) => [key, { runtime: "node|22-lts", ...app }])),
  };
  return createSetup(file, { folder, suffix: "7f3a", detected: {}, validate: validateProject }).sites;
}

async function refusalOf(work: Promise<unknown>): Promise<KnownError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(KnownError);
  expect((error as KnownError).code).toBe("deploy/package-invalid");
  return error as KnownError;
}

test("what looks like keys stops the run: all files of all apps, what each looks like, three ways out", async ({ folder }) => {
  write(folder, { "api/a.js": "", "api/id_rsa": "x", "api/certs/my key.pem": "x", "web/b.js": "", "web/secrets.json": "x" });
  const apps = appsOf(folder, { api: { path: "api" }, web: { path: "web" } });
  const { message, hint } = await refusalOf(packApps(createFakeIo({ directory: folder }), apps, {}));
  expect(message).toBe(
    [
      "the package would hold 3 files that look like keys or credentials; nothing was uploaded:",
      "  - api: certs/my key.pem: looks like a private key, by its name",
      "  - api: id_rsa: looks like an SSH key",
      "  - web: secrets.json: looks like secrets",
    ].join("\n"),
  );
  expect(hint).toContain("move it out of the app's folder; or name it in .webappignore");
  expect(hint).toContain("--include 'certs/my key.pem'");
  expect(hint).toContain('"include": ["certs/my key.pem"] in apps.api of passwordless-pg.json');
});

test("the way out: the flag, from the app or from where one stands; the project file; an ignore rule; none changes the hash", async ({
  folder,
}) => {
  write(folder, { "api/a.js": "", "api/certs/client.key": "x" });
  const hashOf = async (app: object, include: readonly string[], directory = folder): Promise<string | undefined> =>
    (await packApps(createFakeIo({ directory }), appsOf(folder, { api: { path: "api", ...app } }), { include })).get("api")?.sha256;
  const ways = await Promise.all([
    hashOf({}, ["certs/client.key"]),
    hashOf({}, ["./certs/client.key"]),
    hashOf({}, ["api/certs/client.key"]),
    hashOf({}, [join(folder, "api/certs/client.key")]),
    hashOf({}, ["client.key"], join(folder, "api/certs")),
    hashOf({ include: ["certs/client.key"] }, []),
    hashOf({ include: ["./certs//client.key"] }, ["certs/client.key"]),
  ]);
  expect(new Set(ways).size).toBe(1);
  write(folder, { "api/.webappignore": "*.key\n" });
  expect(await hashOf({}, [])).not.toBe(ways[0]);
});

test("asking for a file that is in no package is an error: absent, ignored, or never packed", async ({ folder }) => {
  write(folder, { "api/a.js": "", "api/.env": "A=1", "api/old.key": "x", "api/.gitignore": "old.key\n" });
  const apps = appsOf(folder, { api: { path: "api", include: ["nowhere.pem"] } });
  const { message, hint } = await refusalOf(packApps(createFakeIo({ directory: folder }), apps, { include: [".env", "old.key", "a.js"] }));
  expect(message).toBe('asked for, but not in the package: --include .env, --include old.key, apps.api.include "nowhere.pem"');
  expect(hint).toContain("`!FILE` in .webappignore brings it back");
});

test("says once and shortly which credentials stay out, with names made harmless", async ({ folder }) => {
  write(folder, { "a.js": "", ".env": "", ".aws/credentials": "", "x\u009b2Jy.env": "" });
  for (let index = 0; index < 9; index += 1) write(folder, { [`state/${index}.tfstate`]: "" });
  const io = createFakeIo({ directory: folder });
  await packApps(io, appsOf(folder, { api: {} }), {});
  expect(io.messages).toHaveLength(1);
  expect(io.messages[0]).toMatch(
    /^api: credentials stay out of the package: \.aws\/, \.env, state\/0\.tfstate, state\/1\.tfstate, state\/2\.tfstate and 7 more/,
  );
  expect(io.messages[0]).not.toContain("\u009b");
});

test("a project file may not include what is no text", ({ folder }) => {
  expect(() => appsOf(folder, { api: { include: "a.pem" } })).toThrow(/apps\.api\.include: must be array/);
  expect(() => appsOf(folder, { api: { include: [""] } })).toThrow(/apps\.api\.include\.0: must match/);
});
