import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { type Answer, type TestEmulator, fileTest as test } from "../support/emulator.ts";

// Real traffic of Azure as the yardstick: the same request must get an answer of the same shape.

interface Exchange {
  readonly request: { readonly method: string; readonly url: string; readonly body: unknown };
  readonly response: { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: unknown };
}

interface Recording extends Exchange {
  readonly followup?: readonly Exchange[];
}

function recording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`../fixtures/recorded/postgres/${name}.json`, import.meta.url), "utf8")) as Recording;
}

/** A document with every scalar replaced by its type's name: two answers of one shape become equal. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

/** The path of a recorded URL below the provider, with our subscription, group and server in place of the recorded ones. */
function moved(url: string, serverId: string): string {
  const recorded = new URL(url);
  const rest = /\/flexibleServers\/[^/]+(.*)$/.exec(recorded.pathname)?.[1] ?? "";
  return `${serverId}${rest}?api-version=${recorded.searchParams.get("api-version")}`;
}

function withoutIds(url: string | null | undefined): string {
  return new URL(url ?? "https://none").pathname.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "{guid}");
}

function queryKeys(url: string | null | undefined): string[] {
  return [...new URL(url ?? "https://none").searchParams.keys()];
}

async function finish(emulator: TestEmulator, accepted: Answer): Promise<Answer> {
  const poll = accepted.headers.get("azure-asyncoperation") ?? "";
  return emulator.until(poll, ({ body }) => body.status !== "InProgress");
}

async function server(emulator: TestEmulator): Promise<string> {
  const { request } = recording("server_create_entra_only");
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg-${randomUUID().slice(0, 8)}`;
  const accepted = await emulator.arm("PUT", moved(request.url, id), request.body);
  expect((await finish(emulator, accepted)).body.status).toBe("Succeeded");
  return id;
}

/** The first answer, each poll and what is read afterwards have the recorded shape. */
async function expectRecorded(emulator: TestEmulator, serverId: string, { request, response, followup = [] }: Recording): Promise<void> {
  const accepted = await emulator.arm(request.method, moved(request.url, serverId), request.body ?? undefined);
  expect(accepted.status).toBe(response.status);
  expect(shapeOf(accepted.body)).toEqual(shapeOf(response.body));
  expect(accepted.body.operation).toBe((response.body as { operation: string }).operation);
  const recordedHeaders = new Headers(response.headers);
  for (const name of ["azure-asyncoperation", "location"]) {
    expect(withoutIds(accepted.headers.get(name))).toBe(withoutIds(recordedHeaders.get(name)));
    expect(queryKeys(accepted.headers.get(name))).toEqual(queryKeys(recordedHeaders.get(name)));
  }
  expect(accepted.headers.has("retry-after")).toBe(true);
  const last = await finish(emulator, accepted);
  for (const step of followup) {
    const isPoll = step.request.url.includes("/azureAsyncOperation/");
    const isResult = step.request.url.includes("/operationResults/");
    const target = isResult ? (accepted.headers.get("location") ?? "") : moved(step.request.url, serverId);
    const ours = isPoll ? last : await emulator.arm(step.request.method, target);
    expect(ours.status, step.request.url).toBe(step.response.status);
    expect(shapeOf(ours.body ?? null), step.request.url).toEqual(shapeOf(step.response.body));
  }
}

describe("Microsoft.DBforPostgreSQL answers in the shape of real traffic", () => {
  test("name check", async ({ emulator }) => {
    const { request, response } = recording("check_name_available");
    const path = `${emulator.subscription}/providers/Microsoft.DBforPostgreSQL/locations/eastus/checkNameAvailability?api-version=2023-03-01-preview`;
    expect((await emulator.arm("POST", path, request.body)).body).toEqual(response.body);
  });

  // trap: postgres 1
  test("server create and read", async ({ emulator }) => {
    const { request, response } = recording("server_create_entra_only");
    const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg-${randomUUID().slice(0, 8)}`;
    const accepted = await emulator.arm("PUT", moved(request.url, id), request.body);
    expect(accepted.status).toBe(202);
    expect(shapeOf(accepted.body)).toEqual(shapeOf(response.body));
    expect(queryKeys(accepted.headers.get("location"))).toEqual(queryKeys(new Headers(response.headers).get("location")));
    await finish(emulator, accepted);
    const ready = recording("server_get_ready");
    const { body } = await emulator.arm("GET", moved(ready.request.url, id));
    expect(shapeOf(body)).toEqual(shapeOf(ready.response.body));
    expect(body.properties.storage).toEqual((ready.response.body as { properties: { storage: unknown } }).properties.storage);
  });

  // trap: postgres 5
  test.for(["administrator_put_user", "firewall_rule_put", "database_put", "configuration_patch"])("%s", async (name, { emulator }) => {
    await expectRecorded(emulator, await server(emulator), recording(name));
  });

  test("administrator delete", async ({ emulator }) => {
    const id = await server(emulator);
    const put = recording("administrator_put_user");
    await finish(emulator, await emulator.arm("PUT", moved(put.request.url, id), put.request.body));
    await expectRecorded(emulator, id, recording("administrator_delete"));
  });

  // trap: postgres 30
  test("the last two parameters of the list", async ({ emulator }) => {
    const { request, response } = recording("configurations_list_excerpt");
    const { body } = await emulator.arm("GET", moved(request.url, await server(emulator)));
    const expected = (response.body as { value: { name: string; properties: unknown }[] }).value;
    const ours = (body.value as { name: string; properties: unknown }[]).slice(-2);
    expect(ours.map(({ name, properties }) => ({ name, properties }))).toEqual(
      expected.map(({ name, properties }) => ({ name, properties })),
    );
  });

  // trap: postgres 6
  test("server stop, then delete at its display-name location", async ({ emulator }) => {
    const id = await server(emulator);
    await expectRecorded(emulator, id, recording("server_stop"));
    await expectRecorded(emulator, id, recording("server_delete"));
    expect((await emulator.arm("DELETE", `${id}?api-version=2025-08-01`)).status).toBe(204);
  });
});
