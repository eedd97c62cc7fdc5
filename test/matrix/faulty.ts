import { exitCodeOf } from "../../src/base/errors.ts";
import type { Fault, FaultAction } from "../../src/emulator/http/faults.ts";
import { differences, type Reference, wordsOf } from "./interrupt.ts";
import { type Ended, isOfClient, type Scene } from "./scene.ts";
import { takeSnapshot } from "./snapshot.ts";

/** One kind of trouble, and the calls it can befall. */
export interface Trouble {
  readonly name: string;
  readonly action: FaultAction;
  befalls(call: Call): boolean;
}

/** A call of an undisturbed `up`, as a pattern for a fault: identifiers that differ from run to run are `*`. */
export interface Call {
  readonly host: string;
  readonly method: string;
  readonly path: string;
}

export interface FaultVerdict {
  readonly trouble: string;
  /** One call, or how many. */
  readonly calls: string;
  readonly runs: number;
  /** Codes of the runs that stopped, in their order. */
  readonly codes: readonly string[];
  readonly problems: readonly string[];
}

const isHttp = ({ host }: Call): boolean => !host.startsWith("postgres:");
const isArm = ({ host, path }: Call): boolean => host === "azure" && !/oauth2|openid/.test(path);
const isServerWrite = (call: Call): boolean => isArm(call) && call.method !== "GET" && /flexibleServers/i.test(call.path);
const isJsonAnswer = (call: Call): boolean => isHttp(call) && call.path !== "/api/zipdeploy";
const isSql = (method: string) => (call: Call) => call.method === method;

/** The troubles of the issue, and two more: a lost answer to a call that did its work, and a proxy's page with status 200. */
export const troubles: readonly Trouble[] = [
  { name: "429 with Retry-After", action: { kind: "status", status: 429, headers: { "retry-after": "1" } }, befalls: isHttp },
  { name: "500", action: { kind: "status", status: 500 }, befalls: isHttp },
  { name: "503", action: { kind: "status", status: 503, code: "ServiceUnavailable" }, befalls: isHttp },
  {
    name: "404 after create",
    action: { kind: "status", status: 404, code: "ResourceNotFound" },
    befalls: (call) => isArm(call) && call.method === "GET" && /providers\/Microsoft\.(Web|DBfor)/i.test(call.path),
  },
  { name: "ServerIsBusy on the write", action: { kind: "status", status: 409, code: "ServerIsBusy" }, befalls: isServerWrite },
  { name: "ServerIsBusy in the poll", action: { kind: "operation-fails", code: "ServerIsBusy" }, befalls: isServerWrite },
  {
    name: "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible",
    action: { kind: "operation-fails", code: "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible" },
    befalls: (call) => isServerWrite(call) && /administrators/i.test(call.path),
  },
  { name: "connection reset", action: { kind: "reset" }, befalls: isHttp },
  { name: "lost answer", action: { kind: "drop-after" }, befalls: isHttp },
  { name: "stall", action: { kind: "stall", ms: 1_500 }, befalls: () => true },
  { name: "truncated JSON", action: { kind: "cut" }, befalls: isJsonAnswer },
  { name: "HTML instead of JSON (502)", action: { kind: "html" }, befalls: isHttp },
  {
    name: "HTML instead of JSON (200)",
    action: { kind: "html", status: 200 },
    befalls: (call) => isJsonAnswer(call) && call.method === "GET",
  },
  {
    name: "expired ARM token",
    action: { kind: "status", status: 401, code: "ExpiredAuthenticationToken" },
    befalls: isArm,
  },
  {
    name: "SCM restart during the build",
    action: { kind: "status", status: 502 },
    befalls: ({ host, path }) => host.startsWith("scm:") && /deployments/.test(path),
  },
  {
    name: "PrincipalNotFound",
    action: { kind: "operation-fails", code: "PrincipalNotFound", message: "The principal does not exist in the directory (yet)." },
    befalls: (call) => isServerWrite(call) && /administrators/i.test(call.path),
  },
  { name: "PostgreSQL 57P03", action: { kind: "sql-error", sqlState: "57P03" }, befalls: isSql("LOGIN") },
  { name: "PostgreSQL 53300", action: { kind: "sql-error", sqlState: "53300" }, befalls: isSql("LOGIN") },
  { name: "PostgreSQL breaks the connection at the greeting", action: { kind: "reset" }, befalls: isSql("CONNECT") },
  { name: "PostgreSQL breaks the connection at the login", action: { kind: "reset" }, befalls: isSql("LOGIN") },
  { name: "PostgreSQL breaks the connection at a statement", action: { kind: "reset" }, befalls: isSql("SQL") },
  { name: "PostgreSQL 57P01 at a statement", action: { kind: "sql-error", sqlState: "57P01" }, befalls: isSql("SQL") },
];

/** The distinct calls of an undisturbed `up` from nothing, in their order. Leaves nothing behind. */
export async function callsOfUp(scene: Scene): Promise<Call[]> {
  const calls = new Map<string, Call>();
  scene.onPoint(async (point) => {
    if (point.phase === "done" || !isOfClient(point)) return undefined;
    const path = point.path
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/gi, "*")
      .replace(/\b[0-9a-f]{32,}\b/gi, "*")
      .replace(/(azureAsyncOperation|operationResults|operationStatuses|operations)\/[^/]+/gi, "$1/*");
    calls.set(`${point.host} ${point.method} ${path}`, { host: point.host, method: point.method, path });
    return undefined;
  });
  await scene.run("up").ended;
  await scene.clear();
  return [...calls.values()];
}

/** So many runs of `up` may be needed when each stops at another call; every one of them must say why. */
const mostRuns = 60;

/**
 * Lets each of the calls fail once in this way, and runs `up` until it succeeds: every run that stops must do so with a typed error and a hint,
 * after a bounded number of calls, and the end must be that of an undisturbed run. Starts and ends with nothing there.
 */
export async function runWithTrouble(scene: Scene, trouble: Trouble, calls: readonly Call[], reference: Reference): Promise<FaultVerdict> {
  const befallen = calls.filter((call) => trouble.befalls(call));
  const faults: Fault[] = befallen.map((call) => ({ ...call, times: 1, action: trouble.action }));
  for (const fault of faults) scene.emulator.faults.add(fault);
  const problems: string[] = [];
  const codes: string[] = [];
  const bound = reference.calls.up.length * 2 + faults.length * 6;
  let runs = 0;
  for (let isDone = false; !isDone; ) {
    runs += 1;
    let seen = 0;
    scene.onPoint(async (point) => {
      if (point.phase === "arrived" && isOfClient(point)) seen += 1;
      return undefined;
    });
    const ended = await scene.run("up").ended;
    scene.onPoint(undefined);
    if (seen > bound) problems.push(`run ${runs} made ${seen} calls`);
    isDone = ended.code === 0;
    if (!isDone) {
      const { code, problem } = judge(ended);
      codes.push(code);
      if (problem) problems.push(`run ${runs}: ${problem}`);
    }
    if (runs >= mostRuns || problems.length >= 5) break;
  }
  const caught = scene.emulator.faults.list().reduce((sum, fault) => sum + fault.caught, 0);
  if (befallen.length > 0 && caught === 0) problems.push("the fault caught nothing");
  scene.emulator.faults.clear();
  const after = await takeSnapshot(scene);
  problems.push(...differences(reference.snapshot.state, after?.state));
  await scene.clear();
  const [only] = befallen;
  const words = befallen.length === 1 && only ? `${only.host} ${only.method} ${only.path}` : `${befallen.length} calls`;
  return { trouble: trouble.name, calls: words, runs, codes, problems };
}

/** A run that stopped must say what happened and what to do. */
function judge(ended: Ended): { code: string; problem?: string } {
  let error: { code?: string; hint?: string; message?: string } | undefined;
  try {
    error = (JSON.parse(ended.stdout) as { error?: typeof error }).error;
  } catch {
    return { code: "?", problem: `no JSON, exit ${ended.code}: ${wordsOf(ended)}` };
  }
  const code = error?.code ?? "?";
  if (!(code in exitCodeOf)) return { code, problem: `not a typed error (${code}): ${wordsOf(ended)}` };
  if (!error?.hint) return { code, problem: `no hint with ${code}: ${error?.message}` };
  return { code };
}
