import { expect, test } from "vitest";
import { systemClock } from "../../../../src/base/clock.ts";
import { homeFolders } from "../../../../src/emulator/home.ts";
import { createOperations } from "../../../../src/emulator/operations.ts";
import type { Fleet } from "../../../../src/emulator/services/postgres/fleet.ts";
import { newServer } from "../../../../src/emulator/services/postgres/model.ts";
import type { ServerState } from "../../../../src/emulator/services/postgres/server-state.ts";
import { openTables } from "../../../../src/emulator/services/postgres/servers.ts";
import { createWrites } from "../../../../src/emulator/services/postgres/writes.ts";
import { createStore } from "../../../../src/emulator/store.ts";

const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/shop";
const body = { location: "eastus", sku: { name: "Standard_B1ms", tier: "Burstable" } };

/** Servers whose processes are always where they should be. */
const fleet: Fleet = {
  warm: async () => {},
  minorVersion: () => "14",
  machine: () => undefined,
  waitUntilSettled: async () => {},
  launch: () => Promise.reject(new Error("not here")),
  halt: async () => {},
  restart: async () => {},
  destroy: async () => {},
  ending: () => {},
  close: async () => {},
};

/** A server in a state, and the writes that work on it. */
function shop(state: ServerState) {
  const store = createStore();
  const operations = createOperations({ store, clock: systemClock, clockMode: { kind: "fast" }, signingSecret: "s", onBug: () => {} });
  const endpoints = { resourceManager: "https://localhost:1", authority: "https://localhost:1", tenantId: "t", subscriptionId: "s" };
  const platform = { store, operations, endpoints, home: homeFolders("/nowhere"), log: () => {} };
  const tables = openTables(platform);
  const server = { ...newServer(id, "shop", body, "t", "2026-02-07T09:12:31Z"), state };
  tables.servers.set(id, server);
  const writes = createWrites({ platform, tables, fleet });
  const stateNow = () => tables.servers.get(id)?.state;
  return { operations, server, writes, stateNow };
}

test("of two writes whose handlers saw the server idle, one is taken", async () => {
  const { operations, server, writes, stateNow } = shop("Ready");
  const update = () => writes.accept("server-update", server, id, { next: server, needsRestart: false }, "2025-08-01");
  expect(update().status).toBe(202);
  expect(update).toThrow(expect.objectContaining({ status: 409, code: "ServerIsBusy" }));
  expect(stateNow()).toBe("Updating");
  await operations.close();
});

test.each([
  ["server-stop", "Ready", "Stopping", "Stopped"],
  ["server-restart", "Ready", "Restarting", "Ready"],
  // Refused in the poll.
  ["server-stop", "Stopped", "Stopped", "Stopped"],
  ["server-restart", "Inaccessible", "Inaccessible", "Inaccessible"],
] as const)("%s of a server that is %s: %s meanwhile, then %s", async (kind, before, during, after) => {
  const { operations, server, writes, stateNow } = shop(before);
  writes.accept(kind, server, id, { before }, "2025-08-01");
  expect(stateNow()).toBe(during);
  await expect.poll(() => operations.running(id).length).toBe(0);
  expect(stateNow()).toBe(after);
  await operations.close();
});
