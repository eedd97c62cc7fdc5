import { expect } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { crowdOfLogins, crowdOfWriters, crowdThatStays, openDescriptors, type Tally } from "../support/load.ts";

const CLIENTS = 200;
const SECONDS = 2;
const MEGABYTE = 1024 * 1024;

/** Both crowds live in this process, too: what is measured is an upper bound. */
async function underLoad(work: () => Promise<Tally>): Promise<Tally> {
  const memory = process.memoryUsage().rss;
  const descriptors = openDescriptors();
  const tally = await work();
  expect(tally.wrong.slice(0, 5)).toEqual([]);
  expect(tally.right).toBeGreaterThan(CLIENTS / 10);
  expect(process.memoryUsage().rss - memory).toBeLessThan(500 * MEGABYTE);
  await expect.poll(openDescriptors).toBeLessThanOrEqual(descriptors + 10);
  return tally;
}

const API = "api-version=2025-08-01";

async function newServer(emulator: TestEmulator): Promise<{ id: string; host: string; port: number; user: string }> {
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg-load`;
  const write = async (path: string, body: object): Promise<void> => {
    const accepted = await emulator.arm("PUT", `${path}?${API}`, body);
    expect(accepted.status, accepted.text).toBe(202);
    await emulator.until(accepted.headers.get("azure-asyncoperation") ?? "", (answer) => answer.body.status === "Succeeded");
  };
  await write(id, {
    location: "eastus",
    sku: { name: "Standard_B1ms", tier: "Burstable" },
    properties: { version: "16", authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" } },
  });
  await write(`${id}/firewallRules/azure`, { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } });
  const app = emulator.platform.directory.findByAppId(emulator.clientId);
  await write(`${id}/administrators/${app?.objectId}`, {
    properties: { principalType: "ServicePrincipal", principalName: app?.displayName, tenantId: "" },
  });
  const { body } = await emulator.arm("GET", `${id}?${API}`);
  const { port } = emulator.platform.store.collection<{ port?: number }>("postgres/servers").get(id) ?? {};
  return { id, host: body.properties.fullyQualifiedDomainName, port: port ?? 5432, user: app?.displayName ?? "" };
}

test("200 clients at the gateway: right answers, or 53300 where the server is full; afterwards all is well", async ({ emulator }) => {
  const server = await newServer(emulator);
  const token = await emulator.tokenFor(emulator.clientId, audiences.postgres[0]);
  const at = { ...server, ca: emulator.caPem, token };
  const tally = await underLoad(() => crowdOfLogins({ clients: CLIENTS, seconds: SECONDS }, at));
  expect([...tally.refused.keys()].filter((code) => code !== "53300")).toEqual([]);
  // A B1ms has room for 35 users; sessions that end are counted a moment longer.
  const staying = await crowdThatStays(CLIENTS, at);
  expect(staying.refused).toBeGreaterThanOrEqual(CLIENTS - 35);
  expect(staying.in).toBeGreaterThan(0);
  // Every session was given back: as many as fit come in again, one after the other.
  await expect.poll(() => crowdThatStays(30, at)).toEqual({ in: 30, refused: 0 });
});

test("200 clients at ARM: every write is read back", async ({ emulator }) => {
  const token = await emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]);
  const url = `${emulator.endpoints.resourceManager}${emulator.subscription}`;
  const tally = await underLoad(() => crowdOfWriters({ clients: CLIENTS, seconds: SECONDS }, { url, ca: emulator.caPem, token }));
  expect([...tally.refused]).toEqual([]);
});
