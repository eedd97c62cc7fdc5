import { expect, test } from "vitest";
import { redact, redactJson } from "../../src/base/secrets.ts";
import { workedMs } from "../support/patience.ts";

const jwt = ["eyJhbGciOiJSUzI1NiJ9", "eyJvaWQiOiJjYW5hcnkifQ", "c2lnbmVkLWNhbmFyeQ"].join(".");

test.each([
  ["a token", `the token ${jwt} is bad`, "the token <token> is bad"],
  ["a token glued to a word", `token_${jwt}`, "token_<token>"],
  ["a token cut off in its middle", jwt.slice(0, 35), "<token>"],
  ["an authorization header", `Authorization: Bearer ${jwt} refused`, "Authorization: <secret> refused"],
  ["one in JSON", '{"authorization":"Basic Y2FuYXJ5"}', '{"authorization":"<secret>"}'],
  ["an opaque bearer", "Bearer 0123456789abcdef0123456789abcdef", "Bearer <token>"],
  ["a connection URL", "postgresql://me:canary@db:5432/x", "postgresql://me:<secret>@db:5432/x"],
  ["one whose password holds an @", "postgresql://me:can@ary@db:5432/x", "postgresql://me:<secret>@db:5432/x"],
  ["a connection string", "host=db password=canary dbname=x", "host=db password=<secret> dbname=x"],
  ["one of .NET", "Server=x;Password=can'ary;Uid=a", "Server=x;Password=<secret>;Uid=a"],
  ["a quoted value", 'Password="can ary" x', 'Password="<secret>" x'],
  ["JSON", '{"client_secret": "can ary"}', '{"client_secret": "<secret>"}'],
  ["JSON in JSON", '{\\"password\\":\\"canary\\"}', '{\\"password\\":\\"<secret>\\"}'],
  ["a form", "client_secret=canary&grant_type=x", "client_secret=<secret>&grant_type=x"],
  ["a storage key", "AccountKey=canary==;Endpoint=x", "AccountKey=<secret>;Endpoint=x"],
  ["an environment", "PGPASSWORD=canary", "PGPASSWORD=<secret>"],
  ["words", "password: can'ary, try again", "password: <secret>, try again"],
  ["a header of the identity endpoint", "X-IDENTITY-HEADER: canary", "X-IDENTITY-HEADER: <secret>"],
  ["a member without quotes", "{ access_token: canary, x: 1 }", "{ access_token: <secret>, x: 1 }"],
  ["one in camel case", "clientSecret: canary", "clientSecret: <secret>"],
  ["a quoted one", "clientSecret: 'can ary'", "clientSecret: '<secret>'"],
  ["YAML", "user: me\npassword: canary\nhost: db", "user: me\npassword: <secret>\nhost: db"],
  ["a value with an escaped quote", String.raw`password="can\"ary" x`, 'password="<secret>" x'],
  ["one in single quotes", String.raw`password='can\'ary' x`, "password='<secret>' x"],
  ["one in JSON", String.raw`{"password":"can\"ary","b":"x"}`, '{"password":"<secret>","b":"x"}'],
  ["one that ends with a backslash", String.raw`{"password":"canary\\","b":"x"}`, '{"password":"<secret>","b":"x"}'],
  ["one in JSON in JSON", String.raw`"{\"password\":\"can\\\"ary\",\"b\":\"x\"}"`, String.raw`"{\"password\":\"<secret>\",\"b\":\"x\"}"`],
  ["a signature", "https://x/y?se=1&sig=canary", "https://x/y?se=1&sig=<secret>"],
])("takes out %s", (_what, words, clean) => {
  expect(redact(words)).toBe(clean);
});

test.each([
  'password authentication failed for user "x"',
  "passwordAuth Disabled, activeDirectoryAuth Enabled",
  'PGPASSWORD="$(passwordless-pg token)" psql',
  'export AZURE_CLIENT_SECRET="$(cat /x)"',
  "scm: true → false",
  "http://localhost:3000/x",
  "write to me@example.com, see https://a.b/c:12",
  '{"passwordAuth":"Disabled","clientSecretFile":"/x"}',
  "give the password:\nthe next line",
  '{"password":{"length":8}}',
  '{"password":null,"secret":true}',
])("leaves %s alone", (words) => {
  expect(redact(words)).toBe(words);
});

test.each([
  ["a string that ends where a value would begin", { a: "set password=", b: ["x"] }, { a: "set password=", b: ["x"] }],
  ["a key that was cut off", { a: "-----BEGIN PRIVATE KEY-----\nMII", b: "x" }, { a: "<private key>", b: "x" }],
  ["words with quotes", { a: 'password="can ary" is bad', b: 1 }, { a: 'password="<secret>" is bad', b: 1 }],
  ["a refusal's own JSON", { a: '{"password":"can ary"}', b: 1 }, { a: '{"password":"<secret>"}', b: 1 }],
  ["a member with an escaped quote", { client_secret: 'can"ary\\', b: '"' }, { client_secret: "<secret>", b: '"' }],
  ["one within", { a: JSON.stringify({ password: 'can"ary\\', c: "x" }), b: 1 }, { a: '{"password":"<secret>","c":"x"}', b: 1 }],
  ["a member", { client_secret: "can ary", b: 1 }, { client_secret: "<secret>", b: 1 }],
])("JSON stays JSON: %s", (_what, value, clean) => {
  expect(JSON.parse(redactJson(JSON.stringify(value)))).toEqual(clean);
  expect(JSON.parse(redactJson(JSON.stringify(value, undefined, 2)))).toEqual(clean);
});

test("a megabyte of anything takes no time", () => {
  const startedAt = workedMs();
  for (const piece of [
    "a.",
    "eyJ",
    "password ",
    "://",
    "a:",
    "bearer ",
    "-----BEGIN ",
    "x@",
    "&sig",
    "password: ",
    'password="',
    "password:'\\\\",
    'secret\\":\\"',
  ])
    for (const clean of [redact, redactJson]) clean(JSON.stringify(piece.repeat(1_000_000 / piece.length)));
  expect(workedMs() - startedAt).toBeLessThan(5_000);
});
