import type { TokenCredential } from "@azure/core-auth";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { escapeControls } from "../../src/base/json.ts";
import { readClaims } from "../../src/base/jwt.ts";
import { errorBody, showError } from "../../src/cli/output/error.ts";
import { whoAmI } from "../../src/cloud/credential.ts";
import { environments } from "../../src/cloud/environment.ts";
import { translate, withoutSecrets } from "../../src/cloud/errors.ts";
import { deepJson, mutated, oddValue, runs } from "../support/fuzz.ts";
import { workedMs } from "../support/patience.ts";

/** What a terminal obeys, and what turns the direction of writing. Line breaks and tabs are words. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for
const OBEYED = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

/** All that a person sees of a failure, and a script. */
function shown(error: unknown): { readonly text: string; readonly json: string; readonly code: number } {
  const lines: string[] = [];
  const io = { hasColor: false, isJson: false, complain: (line: string) => void lines.push(line), result: () => {} };
  const code = showError(error, io as never);
  return { text: lines.join("\n"), json: escapeControls(JSON.stringify(errorBody(error), undefined, 2)), code };
}

const shapes: readonly object[] = [
  { error: { code: "ServerIsBusy", message: "busy", details: [{ code: "x", message: "y" }], innererror: {} } },
  { Code: "Conflict", Message: "no", Details: [{ Message: "no" }, { ErrorEntity: { ExtendedCode: "54001", Message: "no" } }] },
  { code: "BadRequest", message: "no" },
  { status: "Failed", error: { code: "InternalServerError", message: "no" } },
  { error: "invalid_client", error_description: "AADSTS7000215", error_codes: [7000215] },
];
const words = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(
    "\u001b]0;owned\u0007",
    "\u001b[2J\u001b[H✓ all is well",
    "\u009b31m",
    "a\rb",
    "\u202egnp.exe",
    "x".repeat(2_000_000),
    "\u001b]".repeat(40_000),
  ),
  fc.constantFrom("http://".repeat(100_000), "eyJ-".repeat(100_000), "password ".repeat(50_000), "https://a/b?sig=TOPSECRET&x=y"),
);
const body = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .constantFrom(...shapes)
      .chain(mutated)
      .map((value) => JSON.stringify(value) ?? ""),
  },
  { weight: 2, arbitrary: words.map((text) => JSON.stringify({ error: { code: text, message: text } })) },
  { weight: 1, arbitrary: words },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "",
      "null",
      "[]",
      "<html><title>502</title></html>",
      "{",
      deepJson(200_000),
      deepJson(100_000, '{"error":', "}"),
      "\ufeff{}",
    ),
  },
);

describe("ARM's refusals", () => {
  test("whatever the body, it is a known failure with a bounded, harmless message and a hint", () => {
    const status = fc.constantFrom(undefined, 200, 400, 401, 403, 404, 409, 412, 429, 500, 503, 999);
    fc.assert(
      fc.property(status, body, fc.boolean(), (given, text, isThrownBySdk) => {
        const thrown = Object.assign(
          new Error(text),
          isThrownBySdk && given !== undefined ? { statusCode: given, code: text.slice(0, 3000) } : {},
        );
        const began = workedMs();
        const error = translate("create the server orders-db", thrown, { status: given, body: text });
        const { text: seen, json, code } = shown(error);
        expect(workedMs() - began).toBeLessThan(1_000);
        expect(error).toBeInstanceOf(KnownError);
        expect(error.hint ?? "").not.toBe("");
        expect(seen).not.toMatch(OBEYED);
        expect(seen.length).toBeLessThan(20_000);
        expect(json.replaceAll("\n", "")).not.toMatch(OBEYED);
        expect(json.length).toBeLessThan(100_000);
        expect(seen).not.toContain("TOPSECRET");
        expect(code).toBeGreaterThan(0);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(errorBody(error))));
      }),
      runs(300),
    );
  });

  test("no text takes the cleaning longer than its length", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "http://",
        "eyJ-",
        "eyJa.",
        "bearer ",
        "password=",
        'password":"',
        "-----BEGIN ",
        "a://a:",
        "authorization: ",
        "\u001b]",
        "\u009d",
        " ",
        '"',
      ),
      fc.string({ minLength: 1, maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 3 }), piece, (pieces, last) => {
        const unit = pieces.join("");
        const text = unit.repeat(Math.ceil(100_000 / unit.length)) + last;
        const began = workedMs();
        withoutSecrets(text);
        shown(new KnownError("azure/failed", text, { hint: text, cause: new Error(text) }));
        expect(workedMs() - began).toBeLessThan(1_500);
      }),
      runs(100),
    );
  });

  test("a bug's stack, a cancellation and a hint lose what a terminal would obey, too", () => {
    const evil = "\u001b]0;owned\u0007\u001b[2J";
    for (const error of [
      new Error(evil),
      new KnownError("cancelled", "x"),
      new KnownError("azure/failed", evil, { hint: evil, cause: evil }),
    ]) {
      expect(shown(error).text).not.toMatch(OBEYED);
    }
  });
});

const encoded = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : (JSON.stringify(value) ?? "")).toString("base64url");
const claims = {
  aud: "https://management.azure.com",
  iss: "https://sts.windows.net/t/",
  oid: "11111111-1111-4111-8111-111111111111",
  tid: "22222222-2222-4222-8222-222222222222",
  exp: 2_000_000_000,
  upn: "dana@example.com",
  idtyp: "user",
  appid: "a",
  groups: ["33333333-3333-4333-8333-333333333333"],
  xms_mirid: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x",
};
const token = fc.oneof(
  { weight: 6, arbitrary: mutated(claims).map((value) => `${encoded({ alg: "RS256" })}.${encoded(value)}.sig`) },
  { weight: 2, arbitrary: oddValue.map((value) => `.${encoded(value)}.`) },
  {
    weight: 2,
    arbitrary: fc.array(fc.oneof(fc.constant("."), fc.base64String(), fc.string({ unit: "binary" }))).map((all) => all.join("")),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", ".", "..", "...", `a.${encoded(deepJson(20_000))}.b`, `a.${encoded("x".repeat(5_000_000))}.b`),
  },
);

describe("its own token", () => {
  test("says who is signed in, or is refused as one that does not", async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        const credential: TokenCredential = { getToken: async () => ({ token: text, expiresOnTimestamp: Date.now() + 3_600_000 }) };
        try {
          const caller = await whoAmI(credential, environments.public);
          for (const member of [caller.objectId, caller.tenantId, caller.name]) expect(member).toEqual(expect.any(String));
          expect(caller.groups.every((group) => typeof group === "string")).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(KnownError);
          expect((error as KnownError).code).toBe("auth/signed-out");
          expect(text.length < 12 || !shown(error).json.includes(text)).toBe(true);
        }
      }),
      runs(500),
    );
  });

  test("gives claims of their own types only", () => {
    expect(
      readClaims(
        `e30.${encoded({ oid: 5, tid: ["t"], aud: ["x"], exp: "soon", groups: [1, "g"], upn: {}, __proto__: { name: "x" } })}.e30`,
      ),
    ).toEqual({ groups: ["g"] });
    expect(readClaims(`e30.${encoded('{"__proto__":{"oid":"x"},"groups":"all"}')}.e30`)).toEqual({});
  });
});
