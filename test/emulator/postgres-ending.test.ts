import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { startTestEmulator } from "../support/emulator.ts";
import { until } from "../support/patience.ts";

/** npm processes that ask this registry. */
function npmsOf(registry: string): number {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(registry) && /npm/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
      } catch {
        return false; // it ended meanwhile
      }
    }).length;
}

test.skipIf(process.platform !== "linux")(
  "an end in the middle of a fetch from a silent registry waits for nothing, and what was asked for goes on at the next start",
  async ({ onTestFinished }) => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => void sockets.add(socket.on("error", () => {})));
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    const registry = `http://127.0.0.1:${(silent.address() as { port: number }).port}/`;
    const before = process.env.npm_config_registry;
    process.env.npm_config_registry = registry;
    onTestFinished(() => {
      if (before === undefined) delete process.env.npm_config_registry;
      else process.env.npm_config_registry = before;
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const log: string[] = [];
    const { emulator, release } = await startTestEmulator({ log: (line) => void log.push(line) });
    onTestFinished(release);
    const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/waits`;
    const body = {
      location: "eastus",
      sku: { name: "Standard_B1ms", tier: "Burstable" },
      properties: {
        version: "17",
        authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" },
        storage: { storageSizeGB: 32 },
      },
    };
    expect((await emulator.arm("PUT", `${id}?api-version=2024-08-01`, body)).status).toBe(202);
    await until("npm asks", () => sockets.size > 0);
    const again = await emulator.restart();
    await until("npm is gone, but for the one that the next start asks with", () => npmsOf(registry) <= 1);
    expect(log.filter((line) => /Failed/.test(line))).toEqual([]);
    expect((await again.arm("GET", `${id}?api-version=2024-08-01`)).body.properties?.state).not.toBe("Failed");
  },
);
