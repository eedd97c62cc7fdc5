import fc from "fast-check";
import { expect, it } from "vitest";
import { KnownError } from "../../../src/base/errors.ts";
import { quoteIdentifier, quoteLiteral, refusedAddress } from "../../../src/cloud/database/sql.ts";

const hostile = fc
  .string({ unit: fc.oneof(fc.constantFrom('"', "'", "\\", ";", "--", "$$", "\n", "U&", "E'"), fc.string({ minLength: 1, maxLength: 1 })) })
  .filter((text) => !text.includes("\0"));

it("quotes any identifier as one token that reads back as the name", () => {
  fc.assert(
    fc.property(hostile, (name) => {
      const token = /^"((?:[^"]|"")*)"$/.exec(quoteIdentifier(name));
      expect(token?.[1]?.replaceAll('""', '"')).toBe(name);
    }),
  );
});

it("quotes any text as one literal that reads back as the text", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const quoted = quoteLiteral(text);
      const plain = /^'((?:[^'\\]|'')*)'$/.exec(quoted);
      const escaped = /^E'((?:[^'\\]|''|\\\\)*)'$/.exec(quoted);
      const back = plain?.[1]?.replaceAll("''", "'") ?? escaped?.[1]?.replaceAll("''", "'").replaceAll("\\\\", "\\");
      expect(back).toBe(text);
    }),
  );
});

it.each([quoteIdentifier, quoteLiteral])("refuses a zero byte", (quote) => {
  expect(() => quote("a\0b")).toThrow(KnownError);
});

it("reads the address out of a firewall refusal only", () => {
  const cause = new Error('28000: no pg_hba.conf entry for host "203.0.113.7", user "u", database "d", SSL encryption');
  expect(refusedAddress(new KnownError("database/firewall", "refused", { cause }))).toBe("203.0.113.7");
  expect(refusedAddress(new KnownError("database/login-refused", "refused", { cause }))).toBeUndefined();
  expect(refusedAddress(cause)).toBeUndefined();
  for (const word of ["::1", "2001:db8::7", "203.0.113.7/8", "0.0.0.0", "[local]", "example.org", "203.0.113.7,0.0.0.0", "1.2.3"]) {
    const other = Object.assign(new Error(`28000: no pg_hba.conf entry for host "${word}", user "u"`), { code: "28000" });
    expect(refusedAddress(new KnownError("database/firewall", "refused", { cause: other })), word).toBeUndefined();
  }
});
