import { describe, expect, it } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { azureCodeOf, parseFailure, translate, warningIn, withoutSecrets } from "../../src/cloud/errors.ts";
import { unsignedToken } from "./replay-server.ts";

describe("parseFailure", () => {
  it.each([
    ["ARM", '{"error":{"code":"AuthorizationFailed","message":"no"}}', { code: "AuthorizationFailed", message: "no" }],
    [
      "an operation's status",
      '{"status":"Failed","error":{"code":"ServerIsBusy","message":"busy"}}',
      { code: "ServerIsBusy", message: "busy" },
    ],
    [
      "Microsoft.Web",
      '{"Code":"Conflict","Message":"taken","Details":[{"Message":"taken"},{"ErrorEntity":{"ExtendedCode":"54001"}}]}',
      { code: "Conflict", message: "taken", extendedCode: "54001" },
    ],
  ])("reads the shape of %s", (_who, body, expected) => {
    expect(parseFailure(409, body)).toEqual({ status: 409, ...expected });
  });
  it.each(["", "<html>no</html>", "null", "[]", '{"value":[]}'])("is undefined for %j", (body) => {
    expect(parseFailure(500, body)).toBeUndefined();
  });
});

describe("translate", () => {
  const failed = Object.assign(new Error("HTTP"), { statusCode: 403 });
  it("gives our code, Azure's words as cause and advice as hint", () => {
    const body = '{"error":{"code":"AuthorizationFailed","message":"dana may not write"}}';
    const error = translate("create the web app shop", failed, { status: 403, body });
    expect(error).toMatchObject({ code: "azure/denied", message: "Azure refused to create the web app shop" });
    expect(error.hint).toContain("Contributor");
    expect((error.cause as Error).message).toBe("AuthorizationFailed (403): dana may not write");
    expect(azureCodeOf(error)).toBe("AuthorizationFailed");
  });
  it("does not mind an SDK error without code or body", () => {
    expect(translate("x", Object.assign(new Error("Unexpected status code: 429"), { statusCode: 429 })).code).toBe("azure/busy");
    expect(translate("x", Object.assign(new Error("connect"), { code: "ECONNREFUSED" })).code).toBe("azure/unreachable");
    expect(translate("x", "what").code).toBe("azure/failed");
  });
  it("leaves a known error alone", () => {
    const known = new KnownError("cancelled", "cancelled");
    expect(translate("x", known)).toBe(known);
  });
});

it("cuts tokens and queries out of foreign words", () => {
  const token = unsignedToken({ oid: "x" });
  const words = `GET https://management.azure.com/a/b?api-version=1&s=SIGNATURE with Bearer ${token} and ${token}`;
  const clean = withoutSecrets(words);
  expect(clean).not.toContain(token);
  expect(clean).not.toContain("SIGNATURE");
  expect(clean).toContain("https://management.azure.com/a/b?…");
});

it.each([
  {
    what: "recorded",
    body: { status: "Succeeded", properties: { message: "Deny public network access is set to yes." } },
    is: /^Deny public/,
  },
  { what: "the M of 2023", body: { status: "Succeeded", properties: { Message: "Mind the gap." } }, is: /^Mind/ },
  {
    what: "with a secret in it",
    body: { status: "Succeeded", properties: { message: "see https://x/y?sig=abc" } },
    is: /^see https:\/\/x\/y\?…$/,
  },
  { what: "nothing to say", body: { status: "Succeeded", properties: { Message: null } }, is: undefined },
  { what: "a validation of 2022", body: { status: "Succeeded", properties: { message: '{"ConnectionName":"c"}' } }, is: undefined },
  { what: "a validation of 2021", body: { status: "Succeeded", properties: { message: "ConnectionName: c; Reason:" } }, is: undefined },
  { what: "still at work", body: { status: "Accepted", properties: { message: "working" } }, is: undefined },
  { what: "no object", body: null, is: undefined },
])("a warning on a success: $what", ({ body, is }) => {
  const warning = warningIn(JSON.stringify(body));
  if (is) expect(warning).toMatch(is);
  else expect(warning).toBeUndefined();
});
