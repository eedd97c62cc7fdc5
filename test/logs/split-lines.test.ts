import fc from "fast-check";
import { expect, test } from "vitest";
import { createLineSplitter } from "../../src/logs/split-lines.ts";

/** Cuts the bytes at the given places (taken modulo the length). */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((left, right) => left - right);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

const read = (chunks: readonly Buffer[]) => {
  const splitter = createLineSplitter();
  return chunks.flatMap((chunk) => splitter.push(chunk));
};

test("gives the same lines however the bytes are cut", () => {
  const line = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("", "naïve 🫖", "x".repeat(70_000), `${"x".repeat(65_535)}é`));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((one) => `${one.replace(/[\r\n]/g, "")}\n`).join(""));
      const whole = read([bytes]);
      expect(read(chunksOf(bytes, cuts))).toEqual(whole);
      expect(whole.length).toBe(lines.length);
    }),
  );
});

test("takes any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(), { maxLength: 10 }), (bytes, cuts) => {
      expect(read(chunksOf(Buffer.from(bytes), cuts))).toEqual(read([Buffer.from(bytes)]));
    }),
  );
});

test("keeps an unfinished line until its break, and drops the carriage return", () => {
  const splitter = createLineSplitter();
  expect(splitter.push(Buffer.from("one\r\ntw"))).toEqual(["one"]);
  expect(splitter.push(Buffer.from("o\n"))).toEqual(["two"]);
});

test("cuts a line at 64 KB, never inside a character, and goes on with the next", () => {
  const [long, next] = read([Buffer.from(`${"x".repeat(65_535)}éé\nnext\n`)]);
  expect(long).toBe(`${"x".repeat(65_535)} … [line cut at 64 KB]`);
  expect(next).toBe("next");
});

test("does not grow with an endless line", () => {
  const splitter = createLineSplitter();
  const chunk = Buffer.alloc(1024 * 1024, "x");
  const before = process.memoryUsage().arrayBuffers;
  for (let megabytes = 0; megabytes < 200; megabytes += 1) splitter.push(chunk);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
  expect(splitter.push(Buffer.from("\n"))[0]?.length).toBeLessThan(66_000);
});
