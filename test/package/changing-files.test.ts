import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { pack } from "../../src/package/pack.ts";
import { readUnchanged, streamUnchanged } from "../../src/package/unchanged-file.ts";
import { test, write } from "./temporary-folder.ts";

const small = "print()\n".repeat(100);
const large = Buffer.alloc(4 * 1024 * 1024, "some words of a large file\n");

/** What can become of a file under our hands; its name stays. */
const changes: readonly (readonly [what: string, change: (file: string) => void])[] = [
  ["grows", (file) => appendFileSync(file, "more")],
  ["shrinks", (file) => truncateSync(file, 10)],
  ["is emptied", (file) => truncateSync(file, 0)],
  ["is written over with as many bytes", (file) => writeFileSync(file, readFileSync(file).fill("x"))],
  ["vanishes", unlinkSync],
  ["becomes a folder", replacedBy(mkdirSync)],
  ["becomes a pipe", replacedBy((file) => execFileSync("mkfifo", [file]))],
  ["becomes a link to a file outside", replacedBy((file) => symlinkSync("/etc/hostname", file))],
  ["becomes a link to itself", replacedBy((file) => symlinkSync(file, file))],
];

function replacedBy(make: (file: string) => void): (file: string) => void {
  return (file) => {
    unlinkSync(file);
    make(file);
  };
}

/** Files below the folder that this process holds open. */
function heldOpen(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return []; // the listing's own
    }
  });
}

async function refusalOf(archive: Readable): Promise<KnownError> {
  const error = await buffer(archive).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(KnownError);
  return error as KnownError;
}

describe.skipIf(process.platform === "win32")("a file that, between its hash and its upload,", () => {
  for (const [size, content] of [
    ["small", small],
    ["large", large],
  ] as const)
    test.for(changes)(
      `(${size}) %s: one known error that names it and the way out`,
      { timeout: 10_000 },
      async ([, change], { folder }) => {
        write(folder, { "a.py": "1", "data.bin": content, "z.py": "2" });
        const packed = await pack(folder);
        change(join(folder, "data.bin"));
        const error = await refusalOf(packed.stream());
        expect(error).toMatchObject({
          code: "deploy/package-invalid",
          message: expect.stringContaining("data.bin"),
          hint: expect.stringMatching(/run the command again .*data\.bin.*\.webappignore/),
        });
        expect(heldOpen(folder)).toEqual([]);
      },
    );

  test.for(changes.filter(([what]) => /shrinks|emptied|written over/.test(what)))(
    "%s while it is read",
    { timeout: 10_000 },
    async ([, change], { folder }) => {
      write(folder, { "a.py": "1", "data.bin": randomBytes(8 * 1024 * 1024) });
      const archive = (await pack(folder)).stream();
      archive.once("data", () => change(join(folder, "data.bin")));
      await expect(refusalOf(archive)).resolves.toMatchObject({ message: "data.bin changed while the app was packed" });
      expect(heldOpen(folder)).toEqual([]);
    },
  );

  test.skipIf(process.getuid?.() === 0)("may not be read any more", async ({ folder }) => {
    write(folder, { "a.py": "1" });
    const packed = await pack(folder);
    chmodSync(join(folder, "a.py"), 0);
    await expect(refusalOf(packed.stream())).resolves.toMatchObject({
      message: "a.py: could not read",
      hint: expect.stringContaining("right"),
    });
  });
});

test("a file that is written to without a pause is read as it was at its opening", async ({ folder }) => {
  const file = { path: "dev.log", source: join(folder, "dev.log") };
  write(folder, { "dev.log": large });
  let bytes = 0;
  for await (const piece of streamUnchanged(file)) {
    bytes += piece.length;
    appendFileSync(file.source, piece);
  }
  expect(bytes).toBe(large.length);
  expect(heldOpen(folder)).toEqual([]);
});

test("an upload that nobody reads on, or that is given up, holds no file and ends no process", async ({ folder }) => {
  write(folder, { "data.bin": large });
  const packed = await pack(folder);
  const left = packed.stream();
  await once(left, "readable");
  left.destroy();
  await once(left, "close");
  expect(heldOpen(folder)).toEqual([]);
  rmSync(join(folder, "data.bin"));
  const unheard = packed.stream();
  unheard.resume(); // no listener for its error
  await new Promise((done) => unheard.once("close", done));
});

test("a folder and a link are no files to read", ({ folder }) => {
  mkdirSync(join(folder, "sub"));
  symlinkSync("/etc/hostname", join(folder, "link"));
  for (const path of ["sub", "link", "nowhere"])
    expect(() => readUnchanged({ path, source: join(folder, path) })).toThrow(expect.objectContaining({ code: "deploy/package-invalid" }));
});
