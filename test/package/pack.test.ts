import { createHash } from "node:crypto";
import { chmodSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { expect } from "vitest";
import { type Entry, fromBuffer, type ZipFile } from "yauzl";
import { buildOnAzure, pack } from "../../src/package/pack.ts";
import { test, write } from "./temporary-folder.ts";

interface Member {
  readonly path: string;
  readonly mode: number;
  readonly modified: number;
  readonly content: Buffer;
}

/** Reads an archive with a reader that is not ours. */
async function unzip(archive: Buffer): Promise<readonly Member[]> {
  const file = await new Promise<ZipFile>((resolve, reject) =>
    fromBuffer(archive, { lazyEntries: true, validateEntrySizes: true }, (error, found) => (error ? reject(error) : resolve(found))),
  );
  const members: Member[] = [];
  const read = (entry: Entry) =>
    new Promise<Buffer>((resolve, reject) =>
      file.openReadStream(entry, (error, stream) => (error ? reject(error) : buffer(stream).then(resolve, reject))),
    );
  return await new Promise((resolve, reject) => {
    file.on("error", reject).on("end", () => resolve(members));
    file.on("entry", (entry: Entry) => {
      read(entry).then((content) => {
        const modified = entry.getLastModDate().getTime();
        members.push({ path: entry.fileName, mode: entry.externalFileAttributes >>> 16, modified, content });
        file.readEntry();
      }, reject);
    });
    file.readEntry();
  });
}

const noise = (bytes: number, seed: string) => {
  let block = createHash("sha512").update(seed).digest();
  const blocks = [];
  for (let length = 0; length < bytes; length += block.length) {
    block = createHash("sha512").update(block).digest();
    blocks.push(block);
  }
  return Buffer.concat(blocks).subarray(0, bytes);
};

// trap: kudu 8
test("holds every file with its content, in order, with the execute bit and nothing else of the mode", async ({ folder }) => {
  const files = {
    "main.py": "print()\n".repeat(1000),
    "empty.txt": "",
    "naïve 🫖.txt": "tea",
    "logo.png": noise(5000, "png"),
    "large.txt": Buffer.from("the same line\n".repeat(100_000)),
    "large.bin": noise(700_000, "bin"),
    "start.sh": "#!/bin/sh\n",
  };
  write(folder, files);
  chmodSync(join(folder, "start.sh"), 0o711);
  chmodSync(join(folder, "main.py"), 0o600);
  const packed = await pack(folder);
  const archive = await buffer(packed.stream());
  const members = await unzip(archive);
  expect(members.map(({ path }) => path)).toEqual([
    "empty.txt",
    "large.bin",
    "large.txt",
    "logo.png",
    "main.py",
    "naïve 🫖.txt",
    "start.sh",
  ]);
  for (const { path, content } of members) expect(content.equals(Buffer.from(files[path as keyof typeof files])), path).toBe(true);
  expect(Object.fromEntries(members.map(({ path, mode }) => [path, mode.toString(8)]))).toMatchObject({
    "start.sh": "100755",
    "main.py": "100644",
  });
  expect(packed).toMatchObject({ files: 7, bytes: Object.values(files).reduce((sum, one) => sum + Buffer.byteLength(one), 0) });
  expect(archive.length).toBeLessThan(5000 + 700_000 + 20_000);
});

test("is the same to the byte again, whatever the times of the files", async ({ folder }) => {
  write(folder, { "a.py": "1", "b/c.bin": noise(400_000, "x") });
  const first = await pack(folder);
  const archive = await buffer(first.stream());
  expect(archive.equals(await buffer(first.stream()))).toBe(true);
  utimesSync(join(folder, "a.py"), 1, 1);
  write(folder, { "node_modules/x/index.js": "ignored" });
  const second = await pack(folder);
  expect(second.sha256).toBe(first.sha256);
  expect(archive.equals(await buffer(second.stream()))).toBe(true);
});

test("has another hash after a change of content, name or execute bit", async ({ folder }) => {
  write(folder, { "a.py": "1", "b.py": "2" });
  const hashes = [(await pack(folder)).sha256];
  const change = async (work: () => void) => {
    work();
    hashes.push((await pack(folder)).sha256);
  };
  await change(() => write(folder, { "a.py": "3" }));
  await change(() => chmodSync(join(folder, "a.py"), 0o755));
  await change(() => write(folder, { "c.py": "2" }));
  await change(() => write(folder, { "empty.py": "" }));
  expect(new Set(hashes).size).toBe(5);
  expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
});

test("gives an edit of the same length another time: Azure copies by time and size", async ({ folder }) => {
  const timeOf = async () => (await unzip(await buffer((await pack(folder)).stream())))[0]?.modified;
  write(folder, { "a.py": "1" });
  const before = await timeOf();
  write(folder, { "a.py": "2" });
  const after = await timeOf();
  expect(after).not.toBe(before);
  write(folder, { "a.py": "1" });
  expect(await timeOf()).toBe(before);
});

test("adds extra files where the app has none of that name", async ({ folder }) => {
  write(folder, { "z.py": "", "a.py": "" });
  const built = await pack(folder, { extraFiles: [buildOnAzure] });
  const members = await unzip(await buffer(built.stream()));
  expect(members.map(({ path }) => path)).toEqual([".deployment", "a.py", "z.py"]);
  expect(members[0]?.content.toString()).toBe("[config]\nSCM_DO_BUILD_DURING_DEPLOYMENT=true\n");
  expect(built.sha256).not.toBe((await pack(folder)).sha256);
  write(folder, { ".deployment": "mine" });
  const own = await unzip(await buffer((await pack(folder, { extraFiles: [buildOnAzure] })).stream()));
  expect(own[0]?.content.toString()).toBe("mine");
});

test("fails instead of uploading a file that changed after it was hashed", async ({ folder }) => {
  write(folder, { "a.py": "1", "large.bin": noise(300_000, "1") });
  const packed = await pack(folder);
  writeFileSync(join(folder, "large.bin"), noise(300_000, "2"));
  await expect(buffer(packed.stream())).rejects.toThrow(expect.objectContaining({ code: "deploy/package-invalid" }));
  writeFileSync(join(folder, "large.bin"), noise(300_000, "1"));
  writeFileSync(join(folder, "a.py"), "2");
  await expect(buffer(packed.stream())).rejects.toThrow(expect.objectContaining({ code: "deploy/package-invalid" }));
});

test("reads any tree of names and contents back", async ({ folder }) => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((one) => !/[/\\\0\uFFFD]|^\.|\.pyc$/u.test(one));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(name, fc.uint8Array({ maxLength: 300 }), { minKeys: 1, maxKeys: 10, noNullPrototype: true }),
      async (files) => {
        const app = join(folder, String(run++));
        const contents = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`sub/${path}`, Buffer.from(bytes)]));
        write(app, contents);
        const members = await unzip(await buffer((await pack(app)).stream()));
        expect(Object.fromEntries(members.map(({ path, content }) => [path, content]))).toEqual(contents);
      },
    ),
    { numRuns: 60 },
  );
});

test("holds more members than the old count field", async ({ folder }) => {
  const extraFiles = Array.from({ length: 65_600 }, (_, index) => ({ path: `f/${index}`, text: "" }));
  write(folder, { "a.py": "1" });
  const archive = await buffer((await pack(folder, { extraFiles })).stream());
  const count = await new Promise((resolve, reject) =>
    fromBuffer(archive, { lazyEntries: true }, (error, file) => (error ? reject(error) : resolve(file.entryCount))),
  );
  expect(count).toBe(65_601);
});
