import { openSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPostgresMachine, type PostgresMachine } from "../../../../src/emulator/machines/postgres/machine.ts";
import { preparePostgres } from "../../../../src/emulator/machines/postgres/prepare.ts";
import type { PostgresRuntime } from "../../../../src/emulator/machines/postgres/runtime.ts";
import { removeServerFolder } from "../../../../src/emulator/machines/postgres/server-folder.ts";
import { until } from "../../../support/patience.ts";

let home: string;
let runtime: PostgresRuntime;
const log: string[] = [];

beforeAll(async () => {
  // Longer than a socket address, as a home deep in somebody's folders is.
  home = await mkdtemp(join(tmpdir(), `ppg-${"long-".repeat(20)}`));
  runtime = await preparePostgres(home, 16, (line) => log.push(line));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const newMachine = (name: string): PostgresMachine =>
  createPostgresMachine(
    runtime,
    join(home, "servers", name),
    () => ({}),
    (line) => log.push(line),
  );
const pidOf = async (name: string): Promise<number> =>
  Number.parseInt(await readFile(join(home, "servers", name, "data", "postmaster.pid"), "utf8"), 10);

describe("a PostgreSQL machine", () => {
  it("comes back by itself after kill -9, with every row that was committed", async () => {
    const machine = newMachine("crash");
    await machine.start();
    try {
      await machine.query("postgres", "CREATE TABLE public.kept (n int)");
      for (let n = 0; n < 20; n++) await machine.query("postgres", "INSERT INTO public.kept VALUES ($1)", [n]);
      const before = await pidOf("crash");
      process.kill(before, "SIGKILL");
      await until("a new process answers", async () => (await pidOf("crash")) !== before && machine.isReady());
      expect(await machine.query("postgres", "SELECT count(*)::int AS rows FROM public.kept")).toEqual([{ rows: 20 }]);
    } finally {
      await machine.stop();
    }
    await removeServerFolder(join(home, "servers", "crash"), (line) => log.push(line));
    await expect(stat(join(home, "servers", "crash"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("ends the process a killed daemon left on its folder, and takes the folder over", async () => {
    const first = newMachine("orphan");
    await first.start();
    await first.query("postgres", "CREATE TABLE public.kept AS SELECT 1 AS n");
    await first.stop();
    const output = openSync("/dev/null", "w");
    const orphan = runtime.account.start(join(runtime.binaries.bin, "postgres"), ["-D", join(home, "servers", "orphan", "data")], output);
    await until("the orphan runs", async () => (await pidOf("orphan")) === orphan.pid);
    const ended = new Promise((resolve) => orphan.once("exit", resolve));
    const second = newMachine("orphan");
    await second.start();
    try {
      await ended;
      expect(await pidOf("orphan")).not.toBe(orphan.pid);
      expect(await second.query("postgres", "SELECT n FROM public.kept")).toEqual([{ n: 1 }]);
    } finally {
      await second.stop();
    }
  });

  it("does not take a stranger for the process of an earlier run", async () => {
    const machine = newMachine("reused");
    await machine.start();
    await machine.stop();
    const { writeFile } = await import("node:fs/promises");
    await writeFile(join(home, "servers", "reused", "data", "postmaster.pid"), `${process.pid}\n${home}\n`);
    await machine.start();
    expect(machine.isReady()).toBe(true);
    await machine.stop();
  });

  it("runs under no root account", async () => {
    const machine = newMachine("account");
    await machine.start();
    const status = await readFile(`/proc/${await pidOf("account")}/status`, "utf8");
    expect(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])).not.toBe(0);
    await machine.stop();
  });
});
