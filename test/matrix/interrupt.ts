import { isDeepStrictEqual } from "node:util";
import type { TrafficPoint } from "../../src/emulator/http/traffic.ts";
import { type Ended, isOfClient, nameOf, type Scene } from "./scene.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";

/** Where and how a run is ended: at the call of this number from 0, or of this name. */
export interface Interruption {
  readonly command: "up" | "down";
  readonly signal: "SIGKILL" | "SIGINT";
  readonly phase: TrafficPoint["phase"];
  readonly at: number | RegExp;
}

export interface Verdict {
  readonly interruption: Interruption;
  /** The call at which it happened; absent when the run ended before that many calls. */
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
}

/** Ctrl-C must be answered at once; giving back a firewall opening may take some calls. */
const tidyMs = 5_000;

/** Runs `up`, again, and `down`, undisturbed. Leaves nothing behind. */
export async function takeReference(scene: Scene): Promise<Reference> {
  const up = await counted(scene, "up");
  const snapshot = await takeSnapshot(scene);
  if (!snapshot) throw new Error("the undisturbed run made nothing");
  const down = await counted(scene, "down");
  await scene.clear();
  return { snapshot, calls: { up, down } };
}

async function counted(scene: Scene, command: "up" | "down"): Promise<string[]> {
  const calls: string[] = [];
  scene.onPoint(async (point) => {
    if (point.phase === "arrived" && isOfClient(point)) calls.push(nameOf(point));
    return undefined;
  });
  const ended = await scene.run(command).ended;
  scene.onPoint(undefined);
  if (ended.code !== 0) throw new Error(`the undisturbed ${command} failed: ${ended.stderr}\n${ended.stdout}`);
  return calls;
}

/** One point of the crash matrix: interrupts, runs the same command again, and compares with undisturbed runs. Starts and ends with nothing there. */
export async function interrupt(scene: Scene, interruption: Interruption, reference: Reference): Promise<Verdict> {
  const { command, signal, phase, at } = interruption;
  const problems: string[] = [];
  if (command === "down") {
    const made = await scene.run("up").ended;
    if (made.code !== 0) return { interruption, problems: [`the up before it failed: ${made.stderr.slice(-300)}`] };
  }
  let seen = 0;
  let point: string | undefined;
  let signalledAt = 0;
  const run = scene.run(command);
  scene.onPoint(async (reached) => {
    if (reached.phase !== phase || !isOfClient(reached)) return undefined;
    seen += 1;
    if (point !== undefined || !(typeof at === "number" ? seen === at + 1 : at.test(nameOf(reached)))) return undefined;
    point = nameOf(reached);
    signalledAt = Date.now();
    run.child.kill(signal);
    if (signal === "SIGINT") return undefined;
    await run.ended;
    return "drop";
  });
  const first = await run.ended;
  const msToEnd = Date.now() - signalledAt;
  scene.onPoint(undefined);
  if (point !== undefined && signal === "SIGINT") problems.push(...sigintProblems(scene, first, msToEnd));

  const before = livesOf(scene);
  const again = await scene.run(command).ended;
  if (again.code !== 0) problems.push(`the second ${command} ended with ${again.code}: ${wordsOf(again)}`);
  const after = await takeSnapshot(scene);
  if (command === "up") {
    problems.push(...differences(reference.snapshot.state, after?.state));
    for (const [name, value] of Object.entries(before)) if (livesOf(scene)[name] !== value) problems.push(`${name} was made anew`);
  } else if (after !== undefined) {
    problems.push(`the resource group is still there: ${JSON.stringify(after.state.resources)}`);
  }
  await scene.clear();
  return { interruption, problems, ...(point === undefined ? {} : { point, msToEnd }) };
}

function sigintProblems(scene: Scene, { code, stdout, stderr }: Ended, msToEnd: number): string[] {
  const problems: string[] = [];
  if (code === 0) return problems; // the last call: nothing was left to stop
  if (code !== 130) problems.push(`SIGINT ended it with ${code}: ${wordsOf({ stdout, stderr })}`);
  if (msToEnd > tidyMs) problems.push(`SIGINT took ${msToEnd} ms`);
  if (!/run the same command again|run `passwordless-pg \w+` again/.test(`${stdout}${stderr}`))
    problems.push("SIGINT did not say how to go on");
  const left = scene.emulator.platform.store
    .collection<{ name: string }>("postgres-firewall-rules")
    .list()
    .filter(({ name }) => name.startsWith("passwordless-pg-"));
  if (left.length > 0) problems.push(`SIGINT left the firewall open: ${left.map(({ name }) => name).join(", ")}`);
  return problems;
}

/** What lives, read without a request: a request would move local Azure's operations on. */
function livesOf({ emulator }: Scene): Record<string, string> {
  const { store } = emulator.platform;
  const [site] = store.collection<{ identity?: { principalId?: string } }>("web/sites").list();
  const [server] = store.collection<{ address?: string; createdAt?: string | number }>("postgres-servers").list();
  return {
    ...(site?.identity?.principalId ? { "the app's identity": site.identity.principalId } : {}),
    ...(server?.address ? { "the server": `${server.address} ${server.createdAt ?? ""}` } : {}),
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

/** The end of what it said, without the progress. */
export function wordsOf({ stdout, stderr }: Pick<Ended, "stdout" | "stderr">): string {
  return `${stderr.slice(-600)} ${stdout.slice(-1500)}`.replace(/\s+/g, " ");
}
