import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Answer, fileTest as test } from "../support/emulator.ts";
import { identityLinker, makeLinkerScene } from "../support/linkers.ts";

interface Recording {
  readonly request: { readonly body: unknown };
  readonly response: {
    readonly status: number;
    readonly headers: Record<string, string>;
    readonly body: unknown;
    readonly bodyRaw?: string;
  };
}

function recorded(name: string): Recording["response"] {
  const text = readFileSync(new URL(`../fixtures/recorded/servicelinker/${name}.json`, import.meta.url), "utf8");
  return (JSON.parse(text) as Recording).response;
}

/** Keys and kinds of values, order aside: what a client's parser depends on. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
}

/** The recorded status, body shape, and every recorded header but those of the transport and of budgets. */
function expectLike(answer: Answer, response: Recording["response"]): void {
  expect(answer.status).toBe(response.status);
  expect(shape(answer.body)).toEqual(shape(response.body));
  if (response.bodyRaw !== undefined) expect(answer.text).toBe(response.bodyRaw);
  for (const [name, value] of Object.entries(response.headers)) {
    if (["date", "content-length"].includes(name)) continue;
    const ours = answer.headers.get(name);
    expect(ours, name).not.toBeNull();
    if (["content-type", "x-ms-providerhub-traffic"].includes(name)) expect(ours, name).toBe(value);
    if (name === "azure-asyncoperation" || name === "location") expect(pattern(ours ?? ""), name).toBe(pattern(value));
  }
  if (response.headers.location === undefined) expect(answer.headers.get("location")).toBeNull();
  expect(answer.headers.get("retry-after")).toBeNull();
}

/** A URL with its names, numbers and signatures made alike. */
function pattern(text: string): string {
  const url = new URL(text);
  const path = url.pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "GUID").replace(/[0-9A-F]{64}/, "HASH");
  const query = [...url.searchParams].map(([name, value]) => (name === "api-version" ? `${name}=${value}` : name)).sort();
  return `${path}?${query.join("&")}`;
}

const OLD = "2022-05-01";

// trap: servicelinker 6, servicelinker 20
test("2022-05-01: create, poll, read, validate and delete look as recorded", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "rec-secret");
  const auth = { authType: "secret", name: "servicelinker", secretInfo: { secretType: "rawValue", value: "not-kept-anywhere-else" } };
  const created = await scene.linker("PUT", "testconn", OLD, identityLinker(scene.databaseId, { authInfo: auth }));
  expectLike(created, recorded("put_linker_pgflex_secret_2022-05-01"));
  expectLike(await scene.end(created), recorded("operation_status_put_succeeded_2022-05-01"));
  const read = await scene.linker("GET", "testconn", OLD);
  expectLike(read, recorded("get_linker_pgflex_2022-05-01"));
  expect(read.text).not.toContain("not-kept");
  const validating = await scene.linker("POST", "testconn/validateLinker", OLD);
  expectLike(validating, recorded("validate_linker_accepted_2022-05-01"));
  const { properties } = (await scene.end(validating)).body;
  expect(Object.keys(properties)).toEqual(["message"]);
  expect(JSON.parse(properties.message)).toMatchObject({ ConnectionName: "testconn", IsConnectionAvailable: true, AuthType: 4 });
  const listed = await scene.linker("POST", "testconn/listConfigurations", OLD);
  const told = recorded("list_configurations_pgflex_python_2021-11-01-preview");
  expect(shape(listed.body)).toEqual(shape(told.body));
  const words = (text: string): string[] => text.split(" ").map((word) => word.split("=")[0] ?? "");
  const [recordedSetting] = (told.body as { configurations: { value: string }[] }).configurations;
  expect(words(listed.body.configurations[0].value)).toEqual(words(recordedSetting?.value ?? ""));
  expectLike(await scene.linker("DELETE", "testconn", OLD), recorded("delete_linker_accepted_2022-05-01"));
});

test("2024-07-01-preview: a linker by system identity looks as recorded", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "rec-identity");
  const body = identityLinker(scene.databaseId, { publicNetworkSolution: {}, configurationInfo: { configurationStore: {} } });
  const created = await scene.linker("PUT", "testconn", "2024-07-01-preview", body);
  expectLike(created, recorded("put_linker_system_identity_2024-07-01-preview"));
  await scene.end(created);
});

// trap: servicelinker 7
test("2023-04-01-preview: the verdict of a validation looks as recorded", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "rec-verdict");
  await scene.end(await scene.linker("PUT", "testconn", "2023-04-01-preview", identityLinker(scene.databaseId)));
  const verdict = await scene.end(await scene.linker("POST", "testconn/validateLinker", "2023-04-01-preview"));
  const told = recorded("operation_status_validate_2023-04-01-preview");
  expectLike(verdict, told);
  const message = (body: unknown): unknown => JSON.parse((body as { properties: { Message: string } }).properties.Message);
  expect(shape(message(verdict.body))).toEqual(shape(message(told.body)));
});
