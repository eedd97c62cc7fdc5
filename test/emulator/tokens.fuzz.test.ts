import { createHmac, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { mutated, oddValue, runs } from "../support/fuzz.ts";

const encode = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : (JSON.stringify(value) ?? "")).toString("base64url");
const decode = (part = ""): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as Record<string, unknown>;

function verifyArm({ platform }: TestEmulator, token: string) {
  return platform.tokens.verify(token, audiences.resourceManager);
}

async function arm(emulator: TestEmulator, token: string): Promise<number> {
  const url = `${emulator.endpoints.resourceManager}/subscriptions?api-version=2021-04-01`;
  return (await emulator.fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;
}

describe("tokens that were not made by this tenant", () => {
  test("forged signatures, algorithms and keys are refused", async ({ emulator }) => {
    const right = await emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]);
    expect(await arm(emulator, right)).toBe(200);
    const [head = "", body = "", signature = ""] = right.split(".");
    const header = decode(head);
    const keys = await emulator.fetch(`${emulator.endpoints.authority}/common/discovery/v2.0/keys`);
    const publicKey = createPublicKey({ key: keys.body.keys[0], format: "jwk" });
    const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const own = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const signed = (forged: object, key = own.privateKey): string => {
      const unsigned = `${encode(forged)}.${body}`;
      return `${unsigned}.${sign("sha256", Buffer.from(unsigned), key).toString("base64url")}`;
    };
    const hmac = (forged: object, secret: string | Buffer): string => {
      const unsigned = `${encode(forged)}.${body}`;
      return `${unsigned}.${createHmac("sha256", secret).update(unsigned).digest("base64url")}`;
    };
    const forged: Record<string, string> = {
      none: `${encode({ ...header, alg: "none" })}.${body}.`,
      "none with the signature": `${encode({ ...header, alg: "none" })}.${body}.${signature}`,
      NonE: `${encode({ ...header, alg: "NonE" })}.${body}.`,
      "no algorithm": `${encode({ typ: "JWT" })}.${body}.${signature}`,
      "HS256 with the public key": hmac({ ...header, alg: "HS256" }, publicPem),
      "HS256 with its DER": hmac({ ...header, alg: "HS256" }, publicKey.export({ type: "spki", format: "der" })),
      "RS256 by HMAC": hmac(header, publicPem),
      "another key": signed(header),
      "another key of its own": signed({ ...header, jwk: own.publicKey.export({ format: "jwk" }) }),
      "a key elsewhere": signed({ ...header, jku: "https://evil.example/keys", x5u: "https://evil.example/cert" }),
      "kid of a file": signed({ ...header, kid: "../../../../dev/null" }),
      "kid of JavaScript": signed({ ...header, kid: "__proto__" }),
      "a list of algorithms": `${encode({ ...header, alg: ["RS256", "none"] })}.${body}.${signature}`,
      "no signature": `${head}.${body}.`,
      "four parts": `${right}.x`,
      nested: `${encode({ ...header, cty: "JWT" })}.${encode(right)}.${signature}`,
      "a header that is a list": `${encode([])}.${body}.${signature}`,
      "a header that is null": `${encode("null")}.${body}.${signature}`,
      huge: `${head}.${encode({ ...decode(body), pad: "x".repeat(60_000) })}.${signature}`,
    };
    for (const [what, token] of Object.entries(forged)) {
      expect(Object.keys(verifyArm(emulator, token)), what).toContain("refusal");
      if (token.length < 10_000) expect(await arm(emulator, token), what).toBe(401);
    }
  });

  test("junk in any part is refused, also where a lenient reader of base64url gets the same bytes", async ({ emulator }) => {
    const right = await emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]);
    const parts = right.split(".");
    const ways: Record<string, (part: string) => string> = {
      "a line break behind": (part) => `${part}\n`,
      "a space behind": (part) => `${part} `,
      "a space before": (part) => ` ${part}`,
      "a line break inside": (part) => `${part.slice(0, 9)}\n${part.slice(9)}`,
      "words of no alphabet": (part) => `${part}!!!`,
      padding: (part) => `${part}${"=".repeat(4 - (part.length % 4))}`,
      "more padding": (part) => `${part}==`,
      NUL: (part) => `${part}\0`,
      "one letter more": (part) => `${part}A`,
      "another text of the same bytes": (part) => otherText(part),
      "the standard alphabet": (part) => Buffer.from(part, "base64url").toString("base64"),
    };
    for (const [what, change] of Object.entries(ways)) {
      for (const at of [0, 1, 2]) {
        const token = parts.map((part, index) => (index === at ? change(part) : part)).join(".");
        // A part without spare bits has one text only; without `+`, `/` or padding both alphabets write it alike.
        if (token === right) continue;
        expect(Object.keys(verifyArm(emulator, token)), `${what}, part ${at}`).toContain("refusal");
      }
    }
    expect(verifyArm(emulator, right)).not.toHaveProperty("refusal");
  });

  test("no changed token is taken; odd claims that are signed break nothing", async ({ emulator }) => {
    const right = await emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]);
    const [head = "", body = "", signature = ""] = right.split(".");
    const changed = fc.oneof(
      mutated(decode(head)).map((value) => `${encode(value)}.${body}.${signature}`),
      mutated(decode(body)).map((value) => `${head}.${encode(value)}.${signature}`),
      oddValue.map((value) => `${encode(value)}.${encode(value)}.${encode(value)}`),
      fc.tuple(fc.nat(), fc.base64String({ minLength: 1, maxLength: 4 })).map(([at, text]) => right.slice(0, at % right.length) + text),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(changed, (token) => {
        fc.pre(token !== right);
        expect(Object.keys(verifyArm(emulator, token))).toContain("refusal");
      }),
      runs(500),
    );
    for (const audience of ["", "x\r\ny: z", "é🫖", "x".repeat(5_000)]) {
      const token = await emulator.tokenFor(emulator.clientId, audience);
      expect(await arm(emulator, token), audience.slice(0, 20)).toBe(401);
    }
  });
});

/** The last letter of base64url holds up to four bits that no byte needs: with one of them set it reads the same. */
function otherText(part: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(part.at(-1) ?? "");
  return part.length % 4 === 0 ? part : part.slice(0, -1) + alphabet[last + 1];
}
