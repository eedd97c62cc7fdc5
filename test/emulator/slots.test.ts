import { describe, expect } from "vitest";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { makeSite } from "../support/sites.ts";

const API = "api-version=2024-04-01";
const SITE = /Microsoft\.Web\/sites\/\{site\}/;

interface Operation {
  readonly method: string;
  readonly path: string;
}

async function operations(emulator: TestEmulator): Promise<readonly Operation[]> {
  const { body } = await emulator.fetch(`${emulator.control.url}/_local/coverage`, {
    headers: { authorization: `Bearer ${emulator.control.key}` },
  });
  return body.value;
}

describe("until slots can be made", () => {
  test("every operation on a site answers for a slot as for one that is not there", async ({ emulator }) => {
    const { id } = await makeSite(emulator, "slot-shop");
    const onSite = (await operations(emulator)).filter(({ path }) => SITE.test(path) && !path.endsWith("/slots"));
    expect(onSite.length).toBeGreaterThan(40);
    for (const { method, path } of onSite) {
      const below = (path.split("{site}")[1] ?? "").replaceAll(/\{\w+\}/g, "x");
      const answer = await emulator.arm(method, `${id}/slots/staging${below}?${API}`, method === "GET" ? undefined : {});
      const [status, code] = below !== "" ? [404, "ResourceNotFound"] : (DIFFERENT[method] ?? [404, "ResourceNotFound"]);
      expect([method, below, answer.status, answer.body?.error?.code]).toEqual([method, below, status, code]);
      if (status === 404) expect(answer.body.error.message).toContain("'Microsoft.Web/sites/slot-shop/slots/staging' under resource group");
    }
    expect((await emulator.arm("GET", `${id}/slots?${API}`)).body.value).toEqual([]);
  });

  test("none is claimed: neither as an operation nor as a resource type", async ({ emulator }) => {
    expect((await operations(emulator)).filter(({ path }) => path.includes("{slot}"))).toEqual([]);
    const { body } = await emulator.arm("GET", `${emulator.subscription}/providers/Microsoft.Web?api-version=2021-04-01`);
    const types = (body.resourceTypes as { resourceType: string }[]).map(({ resourceType }) => resourceType);
    expect(types).toContain("sites/config");
    expect(types.filter((type) => type.startsWith("sites/slots/"))).toEqual([]);
  });
});

/** On the slot itself. */
const DIFFERENT: Readonly<Record<string, readonly [status: number, code: string | undefined]>> = {
  PUT: [501, "NotImplementedByLocalAzure"],
  DELETE: [204, undefined],
};

test.for([
  ["a site", "PATCH", "", { properties: { httpsOnly: "yes" } }, "properties.httpsOnly"],
  ["its configuration", "PUT", "/config/web", { properties: { alwaysOn: "yes" } }, "properties.alwaysOn"],
  ["its settings", "PUT", "/config/appsettings", { properties: { A: {} } }, "properties.A"],
  ["a slot", "PATCH", "/slots/staging", { properties: { httpsOnly: "yes" } }, "properties.httpsOnly"],
  ["a slot's settings", "PUT", "/slots/staging/config/appsettings", { properties: { A: {} } }, "properties.A"],
  ["ARM's own members, on any route", "PUT", "/slots/staging/config/logs", { tags: { a: 1 } }, "tags.a"],
] as const)("a body of another shape is refused: %s", async ([, method, below, body, path], { emulator }) => {
  const { id } = await makeSite(emulator, "shape-shop");
  const answer = await emulator.arm(method, `${id}${below}?${API}`, body);
  expect([answer.status, answer.body.error.code]).toEqual([400, "InvalidRequestContent"]);
  expect(answer.body.error.message).toContain(`Path '${path}'`);
});
