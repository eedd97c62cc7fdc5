import { isDeepStrictEqual } from "node:util";
import type { OnTraffic, TrafficPoint } from "../../src/emulator/http/traffic.ts";
import { type Ended, isOfClient, nameOf, type Scene } from "./scene.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";

/** A point on the way of a run: of all calls of this name the first, second, … A number in the run would be another call each time. */
interface Point {
  readonly phase: TrafficPoint["phase"];
  readonly name: string;
  /** From 0. */
  readonly occurrence: number;
}

/** Where and how a run is ended. */
export interface Interruption {
  readonly command: "up" | "down";
  /** `SIGINT twice`: the second follows at once. */
  readonly signal: "SIGKILL" | "SIGINT" | "SIGINT twice" | "SIGTERM" | "SIGHUP";
  readonly at: Point | { readonly phase: TrafficPoint["phase"]; readonly name: RegExp };
}

export interface Verdict {
  readonly interruption: Interruption;
  /** The call at which it happened; absent when the run ended without it. */
  readonly point?: string;
  /** Empty: converged. */
  readonly problems: readonly string[];
  /** From the signal to the end of the process. */
  readonly msToEnd?: number;
}

/** What undisturbed runs do. */
export interface Reference {
  readonly snapshot: Snapshot;
  /** Names of the calls in the order of a run. */
  readonly calls: { readonly up: readonly string[]; readonly down: readonly string[] };
  /** Before and after each of them. */
  readonly points: { readonly up: readonly Point[]; readonly down: readonly Point[] };
}

/** Ctrl-C is answered at once, though giving back a firewall opening may take some calls: less than any wait of the client, on a loaded machine too. */
const tidyMs = 45_000;

/** Runs `up`, again, and `down`, undisturbed. Leaves nothing behind. */
export async function takeReference(scene: Scene): Promise<Reference> {
  const up = await watched(scene, "up");
  const snapshot = await takeSnapshot(scene);
  if (!snapshot) throw new Error("the undisturbed run made nothing");
  const down = await watched(scene, "down");
  await scene.clear();
  return { snapshot, calls: { up: callsOf(up), down: callsOf(down) }, points: { up, down } };
}

const callsOf = (points: readonly Point[]): string[] => points.filter(({ phase }) => phase === "arrived").map(({ name }) => name);

async function watched(scene: Scene, command: "up" | "down"): Promise<Point[]> {
  const points: Point[] = [];
  const count = counter();
  scene.onPoint(async (point) => {
    if (isOfClient(point)) points.push(count(point));
    return undefined;
  });
  const ended = await scene.run(command).ended;
  scene.onPoint(undefined);
  if (ended.code !== 0) throw new Error(`the undisturbed ${command} failed: ${ended.stderr}\n${ended.stdout}`);
  return points;
}

function counter(): (point: TrafficPoint) => Point {
  const seen = new Map<string, number>();
  return (point) => {
    const name = nameOf(point);
    const key = `${point.phase} ${name}`;
    const occurrence = seen.get(key) ?? 0;
    seen.set(key, occurrence + 1);
    return { phase: point.phase, name, occurrence };
  };
}

/** One point of the crash matrix: interrupts, runs the same command again, and compares with undisturbed runs. Starts and ends with nothing there. */
export async function interrupt(scene: Scene, interruption: Interruption, reference: Reference): Promise<Verdict> {
  const { command, signal, at } = interruption;
  const problems: string[] = [];
  if (command === "down") {
    const made = await scene.run("up").ended;
    if (made.code !== 0) return { interruption, problems: [`the up before it failed: ${wordsOf(made)}`] };
  }
  const count = counter();
  let point: string | undefined;
  let signalledAt = 0;
  const run = scene.run(command);
  scene.onPoint(async (reached) => {
    if (!isOfClient(reached)) return undefined;
    const here = count(reached);
    const isIt = "occurrence" in at ? isDeepStrictEqual(here, at) : here.phase === at.phase && at.name.test(here.name);
    if (point !== undefined || !isIt) return undefined;
    point = here.name;
    signalledAt = Date.now();
    run.child.kill(signal === "SIGINT twice" ? "SIGINT" : signal);
    if (signal === "SIGINT twice") run.child.kill("SIGINT");
    if (signal !== "SIGKILL") return undefined;
    await run.ended;
    return "drop";
  });
  const first = await run.ended;
  const msToEnd = Date.now() - signalledAt;
  scene.onPoint(undefined);
  if (point === undefined) {
    await scene.clear();
    return { interruption, problems };
  }
  if (signal !== "SIGKILL") problems.push(...stopProblems(scene, command, first, msToEnd));

  const before = livesOf(scene);
  const removals: string[] = [];
  scene.onPoint(noting(removals));
  const again = await scene.run(command).ended;
  scene.onPoint(undefined);
  if (again.code !== 0) problems.push(`the second ${command} ended with ${again.code}: ${wordsOf(again)}`);
  const after = await takeSnapshot(scene);
  if (command === "up") {
    problems.push(...differences(reference.snapshot.state, after?.state));
    const lives = livesOf(scene);
    for (const [name, value] of Object.entries(before)) if (lives[name] !== value) problems.push(`${name} was made anew`);
    problems.push(...removals.map((call) => `the second up removed something: ${call}`));
  } else if (after !== undefined) {
    problems.push(`the resource group is still there: ${JSON.stringify(after.state.resources)}`);
  }
  await scene.clear();
  return { interruption, problems, point, msToEnd };
}

/** Every DELETE but that of a firewall opening. */
function noting(removals: string[]): OnTraffic {
  return async (point) => {
    if (point.phase === "arrived" && point.method === "DELETE" && !/firewallRules\/passwordless-pg-[^/]+$/i.test(point.path))
      removals.push(nameOf(point));
    return undefined;
  };
}

function stopProblems(scene: Scene, command: "up" | "down", ended: Ended, msToEnd: number): string[] {
  const problems: string[] = [];
  const { code, stdout, stderr } = ended;
  const left = scene.emulator.platform.store
    .collection<{ name: string }>("postgres-firewall-rules")
    .list()
    .filter(({ name }) => name.startsWith("passwordless-pg-"));
  if (left.length > 0) problems.push(`the firewall is still open: ${left.map(({ name }) => name).join(", ")}`);
  if (msToEnd > tidyMs) problems.push(`it took ${msToEnd} ms to stop`);
  if (code === 0) return problems; // the last call: nothing was left to stop
  if (code !== 130) return [...problems, `it was stopped with ${code}: ${wordsOf(ended)}`];
  const said = answerOf(stdout);
  if (said?.error?.code !== "cancelled") return [...problems, `no JSON says that it was stopped: ${wordsOf({ stdout, stderr })}`];
  const { message = "", hint = "" } = said.error;
  if (!/run (the same command|`passwordless-pg [^`]+`) again/.test(hint)) problems.push(`it does not say how to go on: ${hint}`);
  if (!/^stopped by SIG\w+[:;] /.test(message)) problems.push(`it does not say what stays: ${message}`);
  if (command === "up") {
    for (const made of said.steps?.filter(({ outcome }) => outcome === "created") ?? [])
      if (!said.created?.some((entry) => entry.startsWith(made.name)))
        problems.push(`it does not say that it made ${made.name}: ${message}`);
    const open = /closed the firewall/.test(stderr);
    if (open !== /opening in the firewall was (closed|given back)/.test(message))
      problems.push(`what it says of the opening is wrong: ${message}`);
  }
  return problems;
}

interface StoppedAnswer {
  readonly error?: { readonly code?: string; readonly message?: string; readonly hint?: string };
  readonly steps?: readonly { readonly name: string; readonly outcome: string }[];
  readonly created?: readonly string[];
}

function answerOf(stdout: string): StoppedAnswer | undefined {
  try {
    return JSON.parse(stdout) as StoppedAnswer;
  } catch {
    return undefined;
  }
}

/** What lives, read without a request: a request would move local Azure's operations on. */
function livesOf({ emulator }: Scene): Record<string, string> {
  const { store } = emulator.platform;
  const sites = store.collection<{ name: string; principalId?: string }>("web/sites").list();
  const servers = store.collection<{ address?: string; createdAt?: string | number }>("postgres-servers").list();
  return {
    ...Object.fromEntries(sites.flatMap(({ name, principalId }) => (principalId ? [[`the identity of ${name}`, principalId]] : []))),
    ...Object.fromEntries(servers.flatMap(({ address, createdAt }) => (address ? [["the server", `${address} ${createdAt ?? ""}`]] : []))),
  };
}

/** One line for each part of the state that is not as it should be. */
export function differences(expected: Readonly<Record<string, unknown>>, found: Readonly<Record<string, unknown>> | undefined): string[] {
  if (!found) return ["there is no resource group"];
  return Object.keys(expected)
    .filter((part) => !isDeepStrictEqual(expected[part], found[part]))
    .map((part) => `${part} differs: ${firstDifference(expected[part], found[part])}`);
}

function firstDifference(expected: unknown, found: unknown, path = ""): string {
  if (typeof expected === "object" && typeof found === "object" && expected && found) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(found)])) {
      const [left, right] = [(expected as Record<string, unknown>)[key], (found as Record<string, unknown>)[key]];
      if (!isDeepStrictEqual(left, right)) return firstDifference(left, right, `${path}/${key}`);
    }
  }
  return `${path} expected ${JSON.stringify(expected)?.slice(0, 200)}, found ${JSON.stringify(found)?.slice(0, 200)}`;
}

/** What it said went wrong, and the end of what it said, without the progress. */
export function wordsOf({ stdout, stderr }: Pick<Ended, "stdout" | "stderr">): string {
  const wrong = stderr.split("\n").filter((line) => line.includes("✗"));
  return `${wrong.join(" ").slice(0, 1000)} … ${stderr.slice(-600)} ${stdout.slice(-1500)}`.replace(/\s+/g, " ");
}
