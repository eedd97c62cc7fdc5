import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bin, cli, line, type Size, work } from "./tools.ts";

/** `/warm` prints one line, `/steady` 20 lines a second with their time, `/burst` so many as fast as it can. */
const APP = `import { createServer } from "node:http";
const text = "x".repeat(80);
createServer((request, response) => {
  response.end("ok");
  const { pathname, searchParams } = new URL(request.url, "http://app");
  const lines = Number(searchParams.get("lines"));
  let line = 0;
  if (pathname === "/warm") console.log("warm 0");
  else if (pathname === "/steady") {
    const timer = setInterval(() => {
      console.log("steady " + line + " " + Date.now());
      if (++line === lines) clearInterval(timer);
    }, 50);
  } else if (pathname === "/burst") {
    const more = () => {
      let batch = "";
      for (let index = 0; index < 500 && line < lines; index += 1, line += 1) batch += "burst " + line + " " + text + "\\n";
      if (batch) process.stdout.write(batch, more);
    };
    more();
  }
}).listen(process.env.PORT);
`;

/** How far `logs tail --json` is behind the app's own print, and how many lines a second it takes; each line must come once. */
export async function logTail(size: Size): Promise<void> {
  const [steadyLines, burstLines] = size === "full" ? [300, 300_000] : [20, 3_000];
  const home = join(work, "tail");
  const folder = join(work, "tail-app");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{"name":"tail","version":"1.0.0","type":"module","scripts":{"start":"node server.js"}}');
  writeFileSync(join(folder, "server.js"), APP);
  const up = JSON.parse((await cli(home, "up", "--local", "--yes", "--json", folder)).stdout) as { apps: { api: { url: string } } };
  const tail = spawn(process.execPath, [bin, "logs", "tail", "--local", "--json", folder], {
    env: { PATH: process.env.PATH ?? "", PASSWORDLESS_PG_HOME: home },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const seen = { isWarm: false, behindMs: [] as number[], burst: new Set<number>(), doubled: 0, first: 0, last: 0 };
  createInterface({ input: tail.stdout }).on("line", (text) => {
    const { message = "" } = JSON.parse(text) as { message?: string };
    const [, kind, number, printed] = /(warm|steady|burst) (\d+)(?: (\d+))?/.exec(message) ?? [];
    if (kind === "warm") seen.isWarm = true;
    if (kind === "steady") seen.behindMs.push(Date.now() - Number(printed));
    if (kind !== "burst") return;
    seen.last = Date.now();
    seen.first ||= seen.last;
    if (seen.burst.has(Number(number))) seen.doubled += 1;
    seen.burst.add(Number(number));
  });
  try {
    // What was printed before the tail is connected is shown in part only: it counts from the first line that arrives.
    await until(
      () => seen.isWarm,
      () => ask(`${up.apps.api.url}/warm`),
    );
    await ask(`${up.apps.api.url}/steady?lines=${steadyLines}`);
    await until(() => seen.behindMs.length >= steadyLines);
    const sorted = seen.behindMs.sort((left, right) => left - right);
    line("log tail behind the app, p99", sorted[Math.floor(sorted.length * 0.99)] ?? 0, 0, "", "≤ 100 ms");
    await ask(`${up.apps.api.url}/burst?lines=${burstLines}`);
    await until(() => seen.burst.size >= burstLines || (seen.last > 0 && Date.now() - seen.last > 10_000));
    const missing = burstLines - seen.burst.size;
    const rate = (1000 * seen.burst.size) / (seen.last - seen.first);
    line(`log tail of ${burstLines} lines (${missing} missing, ${seen.doubled} doubled)`, rate, 0, "", "≥ 50,000 lines/s", "lines/s");
  } finally {
    await ended(tail);
    await cli(home, "local", "stop");
  }
}

function ask(url: string): Promise<void> {
  return new Promise((done, fail) => {
    get(url, (response) => response.resume().once("end", done)).once("error", fail);
  });
}

async function until(isDone: () => boolean, meanwhile = async (): Promise<void> => {}): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!isDone()) {
    await meanwhile();
    if (Date.now() > deadline) throw new Error("the log did not come within two minutes");
    await new Promise((done) => setTimeout(done, 20));
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    child.once("close", () => done());
    child.kill("SIGINT");
  });
}
