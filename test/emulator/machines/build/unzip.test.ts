import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import yazl from "yazl";
import { BadArchive, unzip } from "../../../../src/emulator/machines/build/unzip.ts";

interface Entry {
  readonly name: string;
  readonly text: string;
  readonly mode?: number;
}

async function prepare(
  entries: readonly Entry[],
  patch: (bytes: Buffer) => Buffer = (bytes) => bytes,
): Promise<{ file: string; folder: string; root: string }> {
  const zip = new yazl.ZipFile();
  for (const { name, text, mode } of entries) zip.addBuffer(Buffer.from(text), name, mode === undefined ? {} : { mode });
  zip.end();
  const parts: Buffer[] = [];
  for await (const part of zip.outputStream) parts.push(part as Buffer);
  const root = mkdtempSync(join(tmpdir(), "ppg-zip-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const file = join(root, "package.zip");
  writeFileSync(file, patch(Buffer.concat(parts)));
  return { file, root, folder: join(root, "out") };
}

const never = new AbortController().signal;

// trap: kudu 8
test("files, folders and the executable bit arrive", async () => {
  const { file, folder } = await prepare([
    { name: "a/b.txt", text: "hello" },
    { name: "run.sh", text: "#!/bin/sh", mode: 0o100755 },
  ]);
  expect(await unzip(file, folder, never)).toEqual({ entries: 2 });
  expect(readFileSync(join(folder, "a/b.txt"), "utf8")).toBe("hello");
  expect(statSync(join(folder, "run.sh")).mode & 0o100).toBe(0o100);
});

test.each([["../evil.txt"], ["a/../../evil.txt"], ["/abs/evil"]])("the name %s is refused", async (name) => {
  const plain = "x".repeat(name.length);
  const { file, folder, root } = await prepare([{ name: plain, text: "evil" }], (bytes) =>
    Buffer.from(bytes.toString("latin1").replaceAll(plain, name), "latin1"),
  );
  await expect(unzip(file, folder, never)).rejects.toBeInstanceOf(BadArchive);
  expect(existsSync(join(root, "evil.txt"))).toBe(false);
});

test.each([
  ["to outside", [{ name: "l", text: "/etc", mode: 0o120777 }]],
  ["up and out", [{ name: "l", text: "../..", mode: 0o120777 }]],
  [
    "out through another link",
    [
      { name: "p/q/l", text: "../..", mode: 0o120777 },
      { name: "m", text: "p/q/l/../x", mode: 0o120777 },
    ],
  ],
])("a link %s is refused", async (_name, entries) => {
  const { file, folder } = await prepare(entries);
  await expect(unzip(file, folder, never)).rejects.toBeInstanceOf(BadArchive);
});

test("what is no zip, is too big or has too many entries is refused", async () => {
  const { file, folder } = await prepare([
    { name: "a", text: "a".repeat(10_000) },
    { name: "b", text: "b" },
  ]);
  await expect(unzip(file, folder, never, { maxEntries: 10, maxBytes: 100 })).rejects.toThrow("more than 100 bytes");
  await expect(unzip(file, folder, never, { maxEntries: 1, maxBytes: 1e6 })).rejects.toThrow("more than 1 entries");
  writeFileSync(file, "this is text");
  await expect(unzip(file, folder, never)).rejects.toBeInstanceOf(BadArchive);
});
