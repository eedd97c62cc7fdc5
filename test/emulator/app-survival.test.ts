import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type RunningLocal, startLocal, stopLocal } from "../../src/emulator/local.ts";
import { buildDaemon } from "../support/daemon.ts";
import { httpsCall } from "../support/emulator.ts";
import { eventually, makeSite, pythonApp, type SiteTools, zipOf } from "../support/sites.ts";

/** The tools that `makeSite` needs, over a daemon in another process. */
function toolsOf(local: RunningLocal): SiteTools {
  const ca = readFileSync(local.caFile, "utf8");
  const key = readFileSync(local.controlKeyFile, "utf8");
  const fetch: SiteTools["fetch"] = (url, init) => httpsCall(url, ca, init ?? {});
  const tokenFor: SiteTools["tokenFor"] = async (principal, audience) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(`${local.arm}/_local/tokens`, { method: "POST", headers, body: JSON.stringify({ principal, audience }) });
    return answer.body.token as string;
  };
  const arm: SiteTools["arm"] = async (method, path, body) => {
    const authorization = `Bearer ${await tokenFor(local.clientId, "https://management.azure.com")}`;
    const headers = { authorization, "content-type": "application/json" };
    return fetch(`${local.arm}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  };
  return {
    clientId: local.clientId,
    fetch,
    tokenFor,
    arm,
    until: (path, isDone) => eventually(() => arm("GET", path), isDone),
    group: async (name = "rg-test") => {
      const id = `/subscriptions/${local.subscriptionId}/resourceGroups/${name}`;
      await arm("PUT", `${id}?api-version=2021-04-01`, { location: "eastus" });
      return id;
    },
  };
}

/** A process whose dead parent nobody waits for stays as a zombie in some containers: that counts as gone. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return false;
  }
}

/** Processes that work below a folder. */
function processesIn(folder: string): readonly number[] {
  const pids = readdirSync("/proc").map(Number).filter(isAlive);
  return pids.filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  });
}

test("after a kill -9 of local Azure a site comes back under its addresses, without a process of before", async () => {
  const home = mkdtempSync(join(tmpdir(), "ppg-home-"));
  const [daemonFile, release] = await buildDaemon();
  onTestFinished(async () => {
    await stopLocal(home);
    rmSync(home, { recursive: true, force: true });
    release();
  });
  const first = await startLocal(home, { daemonFile });
  const settings = { GREETING: "still here", PID_IN_ENV: "1" };
  const site = await makeSite(toolsOf(first), "survivor", { startup: "exec python app.py", settings });
  const pidApp = pythonApp.replace('"cwd": os.getcwd()', '"pid": os.getpid()');
  expect((await site.deploy({ "app.py": pidApp })).status).toBe("RuntimeSuccessful");
  const before = (await toolsOf(first).fetch(site.origin)).body;
  // A build is in flight when the end comes.
  const slow = { "package.json": '{"scripts":{"build":"sleep 60"}}', ".deployment": "[config]\nSCM_DO_BUILD_DURING_DEPLOYMENT=true\n" };
  const posted = await site.kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf(slow));
  expect(posted.status).toBe(202);
  // The app, then npm, its shell and the build script.
  await eventually(
    async () => processesIn(join(home, "sites")),
    (pids) => pids.length >= 4,
  );
  process.kill(first.pid, "SIGKILL");
  await eventually(
    async () => isAlive(first.pid),
    (alive) => !alive,
  );

  const second = await startLocal(home, { daemonFile });
  const tools = toolsOf(second);
  const after = await eventually(
    () => tools.fetch(site.origin),
    ({ status, body }) => status === 200 && body.env?.GREETING === "still here",
  );
  expect(after.body.pid).not.toBe(before.pid);
  expect(isAlive(before.pid)).toBe(false);
  expect(processesIn(join(home, "sites"))).toEqual([after.body.pid]);
  const lost = await tools.arm("GET", `${site.id}/deploymentStatus/${posted.headers.get("scm-deployment-id")}?api-version=2024-04-01`);
  expect(lost.body.properties.status).toBe("BuildAborted");
  expect(await stopLocal(home)).toBe(true);
  expect(processesIn(join(home, "sites"))).toEqual([]);
});
