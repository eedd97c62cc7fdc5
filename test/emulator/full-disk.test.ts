import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test as base, expect } from "vitest";
import { localStatus, resetLocal, startLocal, stopLocal } from "../../src/emulator/local.ts";
import { buildDaemon } from "../support/daemon.ts";
import { startTestEmulator } from "../support/emulator.ts";
import { type SmallDisk, smallDisk } from "../support/small-disk.ts";

const test = base.extend<{ disk: SmallDisk }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  disk: async ({}, use) => {
    const disk = smallDisk("4m");
    if (!disk) throw new Error("no disk");
    await use(disk);
    disk.release();
  },
});

const probe = smallDisk("1m");
probe?.release();
/** Mounting takes root's rights. */
const isPossible = probe !== undefined;

test.skipIf(!isPossible)(
  "on a full disk writes are refused with 507 and ENOSPC, reads and sign-ins go on, and room is enough to go on",
  async ({ disk }) => {
    const homeFolder = join(disk.folder, "home");
    const { emulator, release } = await startTestEmulator({ homeFolder });
    const kept = await emulator.group("rg-kept");
    const other = `${emulator.subscription}/resourceGroups/rg-lost?api-version=2021-04-01`;
    disk.fill();
    for (let round = 0; round < 3; round += 1) {
      const refused = await emulator.arm("PUT", other, { location: "eastus" });
      expect([refused.status, refused.body.error.code]).toEqual([507, "InsufficientStorage"]);
      expect(refused.body.error.message).toContain("ENOSPC");
      expect((await emulator.arm("GET", `${kept}?api-version=2021-04-01`)).body.name).toBe("rg-kept");
      expect(await emulator.credential.getToken("https://ossrdbms-aad.database.windows.net/.default")).toHaveProperty("token");
    }
    expect(readdirSync(homeFolder).filter((name) => /\.(new|tmp)$/.test(name))).toEqual([]);
    disk.free();
    expect((await emulator.arm("PUT", other, { location: "eastus" })).status).toBeLessThan(300);
    const again = await emulator.restart();
    expect((await again.arm("GET", other)).body.name).toBe("rg-lost");
    await again.close();
    await release();
  },
);

test.skipIf(!isPossible)(
  "status, stop, start and reset on a full disk: all but start work, start says what is the matter",
  async ({ disk }) => {
    const [daemonFile, release] = await buildDaemon();
    const home = join(disk.folder, "home");
    const first = await startLocal(home, { daemonFile });
    disk.fill();
    expect(await localStatus(home)).toEqual(first);
    const before = performance.now();
    expect(await stopLocal(home)).toBe(true);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(readdirSync(home).filter((name) => name.startsWith("lock"))).toEqual([]);
    await expect(startLocal(home, { daemonFile })).rejects.toMatchObject({
      code: "local/failed",
      message: expect.stringContaining("ENOSPC"),
      hint: expect.stringContaining("room"),
    });
    expect(await stopLocal(home)).toBe(false);
    disk.free();
    expect((await startLocal(home, { daemonFile })).subscriptionId).toBe(first.subscriptionId);
    disk.fill();
    await resetLocal(home);
    expect(await localStatus(home)).toEqual({ running: false, home });
    expect(existsSync(join(home, "state.json"))).toBe(false);
    release();
  },
);
