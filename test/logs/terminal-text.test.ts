import fc from "fast-check";
import { expect, test } from "vitest";
import { terminalText } from "../../src/logs/terminal-text.ts";
import { workedMs } from "../support/patience.ts";

test.each([
  ["\x1b[31mred\x1b[0m", "red"],
  ["\x1b]0;title\x07text", "text"],
  ["\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"],
  ["\x1b[2J\x1b[Hgone", "gone"],
  ["a\rb\bc\x00", "abc"],
  ["safe\u202Etxt.exe", "safetxt.exe"],
  ["\x9b31mx", "x"],
  ["two\n\tlines é 🫖", "two\n\tlines é 🫖"],
])("%j becomes %j", (text, expected) => {
  expect(terminalText(text)).toBe(expected);
});

test("never lets a control character through", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom("\x1b", "[", "]", "\x07", "\\", "\x9b", "\x9d", "m", "0"), fc.string({ unit: "binary" }))),
      (parts) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for
        expect(terminalText(parts.join(""))).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      },
    ),
  );
});

test.each(["\x9d", "\x1b]", "\x1b[", "\x9b0", "\x1b "])("takes no longer than the text is long: %j", (unit) => {
  const line = `${unit.repeat(65_536)}\x1bX`;
  const began = workedMs();
  terminalText(line);
  expect(workedMs() - began).toBeLessThan(1_000); // 7 s when each beginning looked for an end of its own
});
