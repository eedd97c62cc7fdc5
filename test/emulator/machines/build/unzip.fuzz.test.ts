import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { BadArchive, unzip } from "../../../../src/emulator/machines/build/unzip.ts";
import { runs } from "../../../support/fuzz.ts";

/** A member as it stands in the bytes: everything may be a lie. */
interface Member {
  readonly name: string | Buffer;
  readonly data?: Buffer;
  readonly method?: number;
  readonly mode?: number;
  readonly flags?: number;
  readonly crc?: number;
  /** Declared in the directory instead of the truth. */
  readonly size?: number;
  readonly packedSize?: number;
  readonly offset?: number;
  readonly extra?: Buffer;
}

interface End {
  readonly count?: number;
  readonly directorySize?: number;
  readonly directoryOffset?: number;
}

const UTF8 = 0x0800;

/** A ZIP archive written by hand (PKWARE APPNOTE 6.3). */
function archive(members: readonly Member[], end: End = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  const add = (...bytes: Buffer[]): void => {
    for (const one of bytes) {
      parts.push(one);
      at += one.length;
    }
  };
  for (const member of members) {
    const { data = Buffer.alloc(0), method = 0, mode, flags = UTF8, extra = Buffer.alloc(0) } = member;
    const name = Buffer.from(member.name);
    const packed = method === 8 ? deflateRawSync(data) : data;
    const crc = member.crc ?? crc32(data);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(crc >>> 0, 10);
    fields.writeUInt32LE((member.packedSize ?? packed.length) >>> 0, 14);
    fields.writeUInt32LE((member.size ?? data.length) >>> 0, 18);
    fields.writeUInt16LE(name.length & 0xffff, 22);
    fields.writeUInt16LE(extra.length & 0xffff, 24);
    const head = Buffer.alloc(12);
    head.writeUInt32LE(((mode ?? 0o100644) << 16) >>> 0, 4);
    head.writeUInt32LE((member.offset ?? at) >>> 0, 8);
    directory.push(Buffer.from("504b01021403", "hex"), fields, Buffer.alloc(2), head, name, extra);
    // The local header says the same, with its own length of the extra field.
    const local = Buffer.from(fields);
    local.writeUInt16LE(0, 24);
    add(Buffer.from("504b0304", "hex"), local, name, packed);
  }
  const start = at;
  for (const bytes of directory) add(bytes);
  const tail = Buffer.alloc(22);
  tail.writeUInt32LE(0x06054b50, 0);
  tail.writeUInt16LE((end.count ?? members.length) & 0xffff, 8);
  tail.writeUInt16LE((end.count ?? members.length) & 0xffff, 10);
  tail.writeUInt32LE((end.directorySize ?? at - start) >>> 0, 12);
  tail.writeUInt32LE((end.directoryOffset ?? start) >>> 0, 16);
  return Buffer.concat([...parts, tail]);
}

function place(): { readonly root: string; readonly file: string; readonly folder: string } {
  const root = mkdtempSync(join(tmpdir(), "ppg-zip-"));
  mkdirSync(join(root, "site"));
  return { root, file: join(root, "package.zip"), folder: join(root, "site", "out") };
}

const never = new AbortController().signal;
const SMALL = { maxEntries: 1_000, maxBytes: 1024 * 1024 };

/** Unpacks; whatever happens nothing may be beside the folder, and every link leads inside. */
async function tryOn(bytes: Buffer, limits: typeof SMALL | undefined = SMALL): Promise<"unpacked" | BadArchive> {
  const { root, file, folder } = place();
  try {
    writeFileSync(file, bytes);
    let result: "unpacked" | BadArchive = "unpacked";
    try {
      await unzip(file, folder, never, limits);
    } catch (error) {
      if (!(error instanceof BadArchive)) throw error;
      expect(error.message.length).toBeLessThan(1_000);
      result = error;
    }
    expect(readdirSync(root).sort()).toEqual(["package.zip", "site"]);
    expect(readdirSync(join(root, "site"))).toEqual(existsSync(folder) ? ["out"] : []);
    if (existsSync(folder)) checkLinks(realpathSync(folder), realpathSync(folder));
    return result;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function checkLinks(folder: string, root: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const kind = lstatSync(path);
    if (kind.isDirectory()) checkLinks(path, root);
    if (!kind.isSymbolicLink()) continue;
    const end = existsSync(path) ? realpathSync(path) : resolve(folder, readlinkSync(path));
    expect(`${end}${sep}`.startsWith(`${root}${sep}`), `${path} -> ${readlinkSync(path)}`).toBe(true);
  }
}

const LINK = 0o120777;
const segment = fc.constantFrom(
  "a",
  "b",
  "l",
  "..",
  ".",
  "",
  "x".repeat(255),
  "x".repeat(256),
  "a\0b",
  "a\\b",
  "C:",
  "é",
  "\u001b[2J",
  "\u202e",
  "~",
  "-rf",
);
const name = fc.oneof(
  fc.array(segment, { minLength: 1, maxLength: 5 }).map((all) => all.join("/")),
  fc.constantFrom(
    "/etc/evil",
    "../../evil",
    "a/",
    "a",
    "l/x",
    "l",
    "l/../../x",
    "//x",
    "\\\\host\\x",
    "..\\..\\evil",
    "a/".repeat(2_000),
    "",
  ),
  fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
);
const target = fc.constantFrom(
  "/etc/passwd",
  "..",
  "../..",
  "a",
  "a/../..",
  ".",
  "",
  "l",
  "./a",
  "\0",
  "x".repeat(5_000),
  "../out",
  "../outside",
  "a/b/../../..",
);
const lie = fc.oneof(fc.constantFrom(0, 1, 0xffff, 0xfffffffe, 0xffffffff), fc.nat());
const member: fc.Arbitrary<Member> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ name, data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) }) },
  { weight: 4, arbitrary: fc.record({ name, data: target.map((text) => Buffer.from(text)), mode: fc.constant(LINK) }) },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        name,
        data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        method: fc.constantFrom(0, 8, 9, 12, 99, 0xffff),
        flags: fc.constantFrom(0, UTF8, 1, 8, 0x41, 0x2000, 0xffff),
        mode: fc.constantFrom(0, LINK, 0o104777, 0o020666, 0o010644, 0o060600, 0o140777, 0o040755, 0xffff),
        crc: fc.nat(),
        size: lie,
        packedSize: lie,
        offset: lie,
        // A ZIP64 field with lies in it, and rubbish.
        extra: fc.oneof(
          fc.constant(Buffer.from(`01001800${"ff".repeat(24)}`, "hex")),
          fc.constant(Buffer.from(`01001800${"00".repeat(24)}`, "hex")),
          fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
        ),
      },
      { requiredKeys: ["name", "data"] },
    ),
  },
);
const end = fc.oneof(
  { weight: 4, arbitrary: fc.constant<End>({}) },
  { weight: 1, arbitrary: fc.record({ count: lie, directorySize: lie, directoryOffset: lie }, { requiredKeys: [] }) },
);

describe("whatever an archive says", () => {
  test("it is unpacked inside of its folder or refused as malformed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(member, { maxLength: 6 }), end, async (members, tail) => {
        await tryOn(archive(members, tail));
      }),
      runs(700),
    );
  });

  test("also with bytes changed, cut off or added", async () => {
    const whole = archive([
      { name: "a/", mode: 0o040755 },
      { name: "a/b.txt", data: Buffer.from("text ".repeat(50)), method: 8 },
      { name: "l", data: Buffer.from("a/b.txt"), mode: LINK },
      { name: "c", data: Buffer.from("c") },
    ]);
    expect(await tryOn(whole)).toBe("unpacked");
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 4 }),
        fc.option(fc.nat()),
        fc.uint8Array({ maxLength: 30 }),
        async (changes, cut, more) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          await tryOn(Buffer.concat([bytes.subarray(0, cut === null ? undefined : cut % bytes.length), more]));
        },
      ),
      runs(300),
    );
  });
});

describe("archives made to harm", () => {
  const refused = async (bytes: Buffer, why: RegExp, limits?: typeof SMALL): Promise<void> => {
    const result = await tryOn(bytes, limits);
    expect(result).toBeInstanceOf(BadArchive);
    expect((result as BadArchive).message).toMatch(why);
  };

  test.each<[what: string, members: readonly Member[], why: RegExp]>([
    ["a wrong checksum", [{ name: "a", data: Buffer.from("a"), crc: 1 }], /crc/i],
    [
      "two links of one name",
      [
        { name: "l", data: Buffer.from("a"), mode: LINK },
        { name: "l", data: Buffer.from("b"), mode: LINK },
      ],
      /EEXIST/,
    ],
    [
      "a folder where a file is",
      [
        { name: "a", data: Buffer.from("a") },
        { name: "a/b", data: Buffer.from("b") },
      ],
      /EEXIST|ENOTDIR/,
    ],
    ["a name too long for any disk", [{ name: "x".repeat(300) }], /ENAMETOOLONG/],
    ["folders too deep to be cleared away", [{ name: "a/".repeat(1_000) }], /too long or too deep/],
    ["a zero byte in a name", [{ name: "a\0b" }], /names that cannot be written/],
    [
      "a loop of links",
      [{ name: "l", data: Buffer.from("m"), mode: LINK }, { name: "m", data: Buffer.from("l"), mode: LINK }, { name: "l/x" }],
      /ELOOP|EEXIST|ENOENT/,
    ],
    [
      "a link out, in two steps",
      [
        { name: "d/", mode: 0o040755 },
        { name: "d/up", data: Buffer.from(".."), mode: LINK },
        { name: "d/up/l", data: Buffer.from("../.."), mode: LINK },
      ],
      /outside/,
    ],
    ["a link of a megabyte", [{ name: "l", data: Buffer.alloc(900_000, 0x61), mode: LINK }], /too long/],
    ["a size that is not true", [{ name: "a", data: Buffer.alloc(100_000), method: 8, size: 5 }], /too many bytes|size/i],
    ["an unknown way of packing", [{ name: "a", data: Buffer.from("a"), method: 99 }], /compression method/],
    ["an encrypted member", [{ name: "a", data: Buffer.from("a"), flags: 1 }], /encrypt|size mismatch/],
  ])("%s", async (_what, members, why) => {
    await refused(archive(members), why);
  });

  test("a bomb that tells its size is refused before anything is written", async () => {
    const bomb = archive(
      Array.from({ length: 5 }, (_, index) => ({ name: `zeros-${index}`, data: Buffer.alloc(1024), method: 8, size: 0xfffffffe })),
    );
    const { root, file, folder } = place();
    onTestFinished(() => rmSync(root, { recursive: true }));
    writeFileSync(file, bomb);
    await expect(unzip(file, folder, never)).rejects.toThrow("unpacks to more than");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a bomb that lies about its size is stopped where it said it ends; memory stays", async () => {
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    const bomb = archive([{ name: "zeros", data: zeros, method: 8, size: 10 }]);
    const before = process.memoryUsage().rss;
    await refused(bomb, /too many bytes|size/i);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  test("nested members that share their bytes count each time", async () => {
    const data = Buffer.alloc(600_000);
    await refused(
      archive([
        { name: "a", data, method: 8 },
        { name: "b", data, method: 8, offset: 0 },
      ]),
      /unpacks to more|outside|local/i,
    );
  });

  test("more members than 16 bits can count", async () => {
    await refused(
      archive(Array.from({ length: 70_000 }, (_, index) => ({ name: `d${index % 50}/f${index}` }))),
      /more than 1000 entries|count/,
    );
    // The count says more than there is.
    await refused(
      archive(
        Array.from({ length: 5 }, (_, index) => ({ name: `f${index}` })),
        { count: 65_534 },
      ),
      /./,
    );
  });
});
