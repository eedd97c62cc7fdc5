import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import * as yazl from "yazl";
import { systemClock } from "../../src/base/clock.ts";
import type { Site } from "../../src/cloud/app-service/sites.ts";
import type { Cloud } from "../../src/cloud/cloud.ts";
import { scmSite } from "../../src/cloud/scm/scm-site.ts";
import { type TailState, tailLogs } from "../../src/logs/tail-logs.ts";
import { openTestCloud } from "../support/cloud.ts";
import { startTestEmulator } from "../support/emulator.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { contextOf, type Exchange, startReplay } from "./replay-server.ts";

const GROUP = "rg-tail";
const APP = "tail-app";
/** Counts as fast as timers go; each process from 1 on. */
const CODE = `
const http = require("http");
let n = 0;
setInterval(() => console.log("line " + process.pid + " " + ++n), 2);
http.createServer((q, r) => r.end("ok")).listen(process.env.PORT);
`;

let release: () => Promise<void>;
let cloud: Cloud;
let site: Site;

beforeAll(async () => {
  const started = await startTestEmulator();
  release = started.release;
  cloud = await openTestCloud(started.emulator);
  await cloud.resourceGroups.put(GROUP, { location: "eastus", tags: {} });
  const plan = await cloud.plans.create(GROUP, "tail-plan", { location: "eastus", sku: "B1", tier: "Basic", capacity: 1, tags: {} });
  const config = { runtime: "NODE|20-lts", startup: "node server.js" };
  site = await cloud.sites.at({ group: GROUP, app: APP }).create({ location: "eastus", planId: plan.id, config, settings: {}, tags: {} });
  await cloud.sites.at({ group: GROUP, app: APP }).enableFileSystemLogging();
  const zip = new yazl.ZipFile();
  zip.addBuffer(Buffer.from(CODE), "server.js");
  zip.end();
  const bytes = await buffer(zip.outputStream);
  const { deploymentId } = await cloud.scmSite(site).zipDeploy({ stream: () => Readable.from([bytes]), size: bytes.length });
  await vi.waitFor(
    async () =>
      expect(await cloud.sites.at({ group: GROUP, app: APP }).deploymentStatus(deploymentId)).toMatchObject({
        status: "RuntimeSuccessful",
      }),
    { timeout: PATIENCE_MS, interval: 200 },
  );
});
afterAll(() => release?.());

/** The numbered lines of the app's log file. */
async function inFile(lastBytes = 8 * 1024 * 1024): Promise<string[]> {
  const scm = cloud.scmSite(site);
  const path = await scm.newestAppLog();
  if (path === undefined) throw new Error("no log file");
  const { bytes } = await scm.readLogFile(path, { lastBytes });
  return (
    Buffer.from(bytes)
      .toString("utf8")
      .match(/line \d+ \d+(?=\n)/g) ?? []
  );
}

it("shows every line once while settings are written, each of which cuts the stream", async () => {
  const scm = cloud.scmSite(site);
  const ends = new AbortController();
  const states: TailState[] = [];
  const reads: string[] = [];
  const shown: string[] = [];
  const records = tailLogs({
    app: APP,
    open: (signal) => scm.openLogStream(signal),
    readFile: (path) => {
      reads.push(path);
      return scm.readLogFile(path, { lastBytes: 4 * 1024 * 1024 });
    },
    clock: systemClock,
    signal: AbortSignal.any([ends.signal, AbortSignal.timeout(PATIENCE_MS)]),
    onState: (state) => states.push(state),
  });
  const connections = () => states.filter(({ state }) => state === "live").length;
  const recycles = [1, 2, 3];
  let writing: Promise<unknown> = Promise.resolve();
  let target = 200;
  for await (const { message } of records) {
    if (message.startsWith("line ")) shown.push(message);
    if (shown.length < target || connections() < 4 - recycles.length) continue;
    const next = recycles.shift();
    if (next === undefined) break;
    target = shown.length + 200;
    writing = writing.then(() => cloud.sites.at({ group: GROUP, app: APP }).putSettings({ NUMBER: String(next) }));
  }
  ends.abort();
  await writing;
  const written = await inFile();
  const from = written.indexOf(shown[0] ?? "");
  expect(shown).toEqual(written.slice(from, from + shown.length));
  expect(connections()).toBeGreaterThan(1);
  expect(reads.length).toBeGreaterThan(0);
  expect(states).not.toContainEqual(expect.objectContaining({ state: "gap" }));
});

it("reads the end of a file from the beginning of a line on, and nothing outside the log folder", async () => {
  const all = await inFile();
  const end = await inFile(1000);
  expect(end.length).toBeGreaterThan(3);
  expect(end.length).toBeLessThan(40);
  expect(all.length).toBeGreaterThan(end.length);
  const scm = cloud.scmSite(site);
  for (const path of [
    "/home/LogFiles/../site/wwwroot/server.js",
    "/home/site/wwwroot/server.js",
    "https://elsewhere.example/x.log",
    "/home/LogFiles/no.log",
  ])
    await expect(scm.readLogFile(path, { lastBytes: 1000 })).rejects.toMatchObject({ code: "azure/not-found" });
});

it("takes a part of a file from a Kudu that heeds ranges, and the newest of several instances' files", async () => {
  const azure = await startReplay();
  const say = (path: string, status: number, body: unknown, headers = {}): Exchange => ({
    request: { method: "GET", url: `https://azure${path}` },
    response: { status, headers, body },
  });
  const file = (machine: string, kind: string, lastUpdated: string) => ({
    machineName: machine,
    lastUpdated,
    size: 9,
    path: `/home/LogFiles/2026_02_07_${machine}_${kind}.log`,
  });
  const newest = file("m 2", "default_docker", "2026-02-07T09:02:00Z");
  const files = [file("m1", "default_docker", "2026-02-07T09:01:00Z"), newest, file("m1", "docker", "2026-02-07T09:03:00Z")];
  const vfs = "/api/vfs/LogFiles/2026_02_07_m%202_default_docker.log";
  try {
    azure.play([
      say("/api/logs/docker", 200, files),
      say(vfs, 206, Buffer.from("st of a line\nwhole\n"), { "content-range": "bytes 80-98/99" }),
      say(vfs, 206, Buffer.from("all\nof it\n"), { "content-range": "bytes 0-9/10" }),
      say(vfs, 503, "<html><title>503</title></html>"),
    ]);
    const scm = scmSite(contextOf(azure, "00000000-0000-0000-0000-000000000000"), { name: "app", scmHost: azure.host });
    expect(await scm.newestAppLog()).toBe(newest.path);
    const read = async () => {
      const { bytes, isWhole } = await scm.readLogFile(newest.path, { lastBytes: 19 });
      return { text: Buffer.from(bytes).toString("utf8"), isWhole };
    };
    expect(await read()).toEqual({ text: "whole\n", isWhole: false });
    expect(azure.requests.at(-1)?.headers.range).toBe("bytes=-19");
    expect(await read()).toEqual({ text: "all\nof it\n", isWhole: true });
    await expect(read()).rejects.toMatchObject({ code: "azure/failed" });
  } finally {
    await azure.close();
  }
});

it("a download of the logs that falls silent or breaks off is a known error, not half a file", async () => {
  const azure = await startReplay();
  const part = (headers: Record<string, string>): Exchange => ({
    request: { method: "GET", url: "https://azure/api/logs/docker/zip" },
    response: { status: 200, headers: { "content-length": "99", ...headers }, body: Buffer.from("half") },
  });
  try {
    azure.play([part({}), part({ connection: "close" })]);
    const scm = scmSite(contextOf(azure, "00000000-0000-0000-0000-000000000000"), { name: "app", scmHost: azure.host });
    await expect(scm.downloadLogs({ idleMs: 300 }).then(buffer)).rejects.toMatchObject({ code: "azure/timeout" });
    await expect(scm.downloadLogs().then(buffer)).rejects.toMatchObject({ code: "azure/unreachable" });
  } finally {
    await azure.close();
  }
});
