import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Operation } from "../../src/emulator/operations.ts";
import { createStore } from "../../src/emulator/store.ts";
import { gateway } from "./gateway.ts";
import { load } from "./load.ts";
import { logTail } from "./log-tail.ts";
import { packing } from "./packing.ts";
import { bin, cli, control, inPairs, journal, line, median, plainApp, root, run, type Size, times, work } from "./tools.ts";

const isSignIn = ({ path }: { readonly path: string }): boolean => /openid-configuration$|\/token$/.test(path);

async function startUp(size: Size): Promise<void> {
  const [version, floor] = await inPairs(
    times(size, 15),
    () => run(process.execPath, [bin, "--version"]),
    () => run(process.execPath, ["-e", "0"]),
  );
  line("--version", version, floor, "node -e 0", "≤ 1.5 ×");
}

async function localStart(size: Size): Promise<void> {
  const homes = Array.from({ length: times(size, 3) }, (_, index) => join(work, `start-${index}`));
  const first: number[] = [];
  const warm: number[] = [];
  for (const home of homes) {
    first.push((await cli(home, "local", "start")).ms);
    await cli(home, "local", "stop");
    warm.push((await cli(home, "local", "start")).ms);
    await cli(home, "local", "stop");
  }
  line("local start, first time", median(first), 0, "", "part of ≤ 4 s with PostgreSQL");
  line("local start, warm", median(warm), 0, "", "part of ≤ 2 s with PostgreSQL");
  const folder = join(work, "server-only");
  plainApp(folder);
  const made: number[] = [];
  for (const home of homes) {
    made.push((await cli(home, "server", "create", "--local", "--yes", folder)).ms);
    await cli(home, "local", "stop");
  }
  line("local start + flexible server ready (server create)", median(made), 0, "", "≤ 4 s first time");
  const again: number[] = [];
  for (const home of homes) {
    again.push((await cli(home, "server", "create", "--local", "--yes", folder)).ms);
    await cli(home, "local", "stop");
  }
  line("local start + existing server ready", median(again), 0, "", "≤ 2 s warm");
}

async function noOpInit(size: Size): Promise<void> {
  const home = join(work, "noop");
  const folder = join(work, "noop-app");
  plainApp(folder);
  await cli(home, "up", "--local", "--yes", folder);
  const before = (await journal(home)).length;
  await cli(home, "init", "--local", "--yes", folder);
  const calls = (await journal(home)).slice(before);
  const signIn = calls.filter(isSignIn).length;
  const [init, node] = await inPairs(
    times(size, 7),
    () => cli(home, "init", "--local", "--yes", folder),
    () => run(process.execPath, ["-e", "0"]),
  );
  line(`init with nothing to do (${calls.length - signIn} HTTP calls and ${signIn} of the sign-in)`, init, node, "node -e 0", "≤ 12 calls");
  await control(home, "faults", { host: "azure", path: "*", action: { kind: "stall", ms: 50 } });
  const slow: number[] = [];
  for (let index = 0; index < times(size, 5); index += 1) slow.push((await cli(home, "init", "--local", "--yes", folder)).ms);
  line("the same with 50 ms added to each HTTP call", median(slow), 0, "", "≤ 1500 ms");
  await cli(home, "local", "stop");
}

async function longestPath(size: Size): Promise<void> {
  const scale = size === "full" ? 0.1 : 0.005; // smaller ones than the first measure this machine: some 2 s of work are on it
  const ratios: number[] = [];
  let shown: [number, number] = [0, 0];
  for (let index = 0; index < times(size, 3); index += 1) {
    const home = join(work, `paced-${index}`);
    const folder = join(work, `paced-app-${index}`);
    plainApp(folder);
    await cli(home, "local", "start", "--clock", `recorded:${scale}`);
    const { ms } = await cli(home, "up", "--local", "--yes", "--json", folder);
    const floor = longestOf(home, scale);
    ratios.push(ms / floor);
    shown = [ms, floor];
    await cli(home, "local", "stop");
  }
  line(`up on a recorded clock × ${scale} (median ratio ${median(ratios).toFixed(2)})`, shown[0], shown[1], "the longest path", "≤ 1.05 ×");
}

/** The operations' own durations along the needs: server, then the longest of its children, then connection and deployment. */
function longestOf(home: string, scale: number): number {
  // Through the store's own reader: it refuses a form that it does not know.
  const store = createStore(join(home, "state.json"));
  const operations = store.collection<Pick<Operation, "kind" | "startTime" | "endTime">>("operations").list();
  const most = (kind: string): number => {
    const took = operations.flatMap((one) => (one.kind === kind ? [Date.parse(one.endTime ?? "") - Date.parse(one.startTime)] : []));
    return known(kind, Math.max(...took));
  };
  // Children of one server are written one at a time (Azure refuses two at once), so they add up.
  const children = most("postgres/administrator-put") + most("postgres/database-put") + most("postgres/firewall-put");
  const [deployment] = store.collection<{ readonly receivedTime: string; readonly endTime: string }>("web/deployments").list();
  const built = known("deployment", Date.parse(deployment?.endTime ?? "") - Date.parse(deployment?.receivedTime ?? ""));
  // The start of the new container, after the build: recorded 210 s (local Azure's own figure for it).
  const deployed = built + 210_000 * scale;
  return most("postgres/server-create") + children + most("servicelinker/put") + deployed;
}

/** A renamed kind would make the path shorter without a word. */
function known(what: string, ms: number): number {
  if (Number.isFinite(ms)) return ms;
  throw new Error(`local Azure kept no finished ${what}: is it called otherwise now?`);
}

/** What `npm install` puts on the disk: the package bundles what it needs and has no dependencies. */
async function installedSize(): Promise<void> {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]);
  const [packed] = JSON.parse(stdout) as { unpackedSize: number }[];
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies?: object };
  line(`installed size (${Object.keys(dependencies).length} dependencies)`, (packed?.unpackedSize ?? 0) / 1000, 0, "", "≤ 8000 KB", "KB");
}

async function unchangedDeploy(): Promise<void> {
  const home = join(work, "unchanged");
  const folder = join(work, "unchanged-app");
  plainApp(folder);
  await cli(home, "up", "--local", "--yes", folder);
  const before = (await journal(home)).length;
  await cli(home, "deploy", "--local", "--yes", folder);
  const calls = (await journal(home)).slice(before);
  const signIn = calls.filter(isSignIn).length;
  line(`deploy of an unchanged app, remote calls beside ${signIn} of the sign-in`, calls.length - signIn, 0, "", "1 call", "calls");
  await cli(home, "local", "stop");
}

/** The second of two projects: pip and npm have what they need in local Azure's cache. */
async function template(size: Size): Promise<void> {
  for (const name of size === "full" ? ["express", "fastapi"] : ["express"]) {
    const home = join(work, `template-${name}`);
    const made: number[] = [];
    for (const which of size === "full" ? ["first", "second", "third"] : ["first"])
      made.push((await cli(home, "up", "--local", "--yes", "--template", name, join(work, `${name}-${which}`))).ms);
    line(`up --local of the template ${name}, dependencies cached`, median(size === "full" ? made.slice(1) : made), 0, "", "≤ 30000 ms");
    await cli(home, "local", "stop");
  }
}

/** By the name that `npm run bench -- NAME` takes. */
export const parts: Readonly<Record<string, (size: Size) => Promise<void>>> = {
  startUp,
  installedSize,
  localStart,
  noOpInit,
  longestPath,
  unchangedDeploy,
  packing,
  logTail,
  template,
  gateway,
  load,
};
