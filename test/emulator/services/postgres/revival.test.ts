import { expect, test } from "vitest";
import { systemClock } from "../../../../src/base/clock.ts";
import { homeFolders } from "../../../../src/emulator/home.ts";
import { createOperations } from "../../../../src/emulator/operations.ts";
import { type FlexibleServer, newServer } from "../../../../src/emulator/services/postgres/model.ts";
import { createRevival } from "../../../../src/emulator/services/postgres/revival.ts";
import type { ServerState } from "../../../../src/emulator/services/postgres/server-state.ts";
import { createStore } from "../../../../src/emulator/store.ts";

const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/shop";
const body = { location: "eastus", sku: { name: "Standard_B1ms", tier: "Burstable" } };

/** Starts local Azure's revival over one server, and tells what became of it. */
async function revive(kept: { state: ServerState; isWaiting?: boolean }, launch = async () => {}) {
  const store = createStore();
  const servers = store.collection<FlexibleServer>("postgres-servers");
  servers.set(id, { ...newServer(id, "shop", body, "tenant", "2026-02-07T09:12:31Z"), ...kept });
  const said: string[] = [];
  const operations = createOperations({ store, clock: systemClock, clockMode: { kind: "fast" }, signingSecret: "s", onBug: () => {} });
  const platform = { store, operations, home: homeFolders("/nowhere"), log: (line: string) => said.push(line), tell: () => {} };
  let launches = 0;
  const revival = createRevival(platform, servers, {
    launch: () => {
      launches += 1;
      return launch();
    },
  });
  await revival.start();
  revival.stop();
  return { launches, said, server: servers.get(id) };
}

test.each([
  { state: "Ready", launches: 1 },
  { state: "Updating", launches: 1 },
  { state: "Starting", launches: 1 },
  { state: "Restarting", launches: 1 },
  { state: "Inaccessible", launches: 1 },
  { state: "Stopped", isWaiting: true, launches: 1 },
  // Stopped by somebody, or about to be.
  { state: "Stopped", launches: 0 },
  { state: "Stopping", launches: 0 },
  { state: "Dropping", launches: 0 },
  { state: "Dropping", isWaiting: true, launches: 0 },
  // Its creation starts it.
  { state: "Provisioning", launches: 0 },
] as const)("a server found $state, waiting: $isWaiting, is launched $launches times", async ({ launches, ...kept }) => {
  expect((await revive(kept)).launches).toBe(launches);
});

test("one that does not come up is not Ready any more, and waits", async () => {
  const { server, said } = await revive({ state: "Ready" }, () => Promise.reject(new Error("no luck")));
  expect(server).toMatchObject({ state: "Stopped", isWaiting: true });
  expect(said).toEqual(["postgres shop: no luck"]);
});

test("one that waited and comes up is Ready; one in the middle of a write is left to it", async () => {
  expect((await revive({ state: "Stopped", isWaiting: true })).server).toMatchObject({ state: "Ready", isWaiting: false });
  expect((await revive({ state: "Restarting" })).server).toMatchObject({ state: "Restarting" });
});
