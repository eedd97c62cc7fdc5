import { exitCodeOf } from "../../src/base/errors.ts";
import type { FaultAction } from "../../src/emulator/http/faults.ts";
import { differences, type Reference, wordsOf } from "./interrupt.ts";
import { type Ended, isOfClient, type Scene } from "./scene.ts";
import { takeSnapshot } from "./snapshot.ts";

/** One kind of trouble, and the calls it can befall: a fault put on them, or something that really happens when they arrive. */
export interface Trouble {
  readonly name: string;
  readonly action: FaultAction | ((scene: Scene) => Promise<void>);
  befalls(call: Call): boolean;
}

/** A call of an undisturbed `up`, as a pattern for a fault: identifiers that differ from run to run are `*`. */
export interface Call {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  /** So many calls of this pattern come before it. Of HTTP calls the first stands for all; connections, logins and statements are told apart. */
  readonly skip: number;
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
const isSignIn = ({ host, path }: Call): boolean => host === "azure" && /oauth2/.test(path);
const isAfterUpload = ({ host, path }: Call): boolean =>
  (host.startsWith("scm:") && /zipdeploy|deployments\//.test(path)) || /deploymentStatus/.test(path);

/** Somebody writes the app's settings, as they are: the SCM site and the app start anew, and a build under way ends (as in Azure). */
export async function restartSite({ emulator, group, names }: Scene): Promise<void> {
  const settings = `${group}/providers/Microsoft.Web/sites/${names.sites[0]}/config/appsettings`;
  const { body } = await emulator.arm("POST", `${settings}/list?api-version=2025-05-01`);
  await emulator.arm("PUT", `${settings}?api-version=2025-05-01`, { properties: body.properties });
}

/** Somebody restarts the server: connections break, logins are refused until it is up. */
async function restartServer({ emulator, group, names }: Scene): Promise<void> {
  const server = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}`;
  await emulator.arm("POST", `${server}/restart?api-version=2025-08-01`, {});
}

const sqlStates: Readonly<Record<string, string>> = {
  "40P01": "deadlock detected",
  "55P03": "canceling statement due to lock timeout",
  "42501": "permission denied",
  "57P01": "terminating connection due to administrator command",
  XX000: "cache lookup failed for relation 4711",
};

/** The troubles of the issue, and more: lost answers to calls that did their work, a proxy's page with status 200, real restarts in the middle. */
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
  { name: "PostgreSQL does a statement and breaks the connection", action: { kind: "drop-after" }, befalls: isSql("SQL") },
  { name: "PostgreSQL lets in and breaks the connection", action: { kind: "drop-after" }, befalls: isSql("LOGIN") },
  ...Object.entries(sqlStates).map(([sqlState, message]) => ({
    name: `PostgreSQL ${sqlState} at a statement`,
    action: { kind: "sql-error", sqlState, message } as const,
    befalls: isSql("SQL"),
  })),
  ...(["stranger", "expired", "wrong-name", "refused"] as const).map((flaw) => ({
    name: `PostgreSQL TLS: ${flaw}`,
    action: { kind: "tls", flaw } as const,
    befalls: isSql("CONNECT"),
  })),
  {
    name: "Entra says the client secret has expired",
    action: {
      kind: "status",
      status: 401,
      body: {
        error: "invalid_client",
        error_description: "AADSTS7000222: The provided client secret keys for app 'shop' are expired. Trace ID: 0 Correlation ID: 0",
        error_codes: [7000222],
      },
    },
    befalls: isSignIn,
  },
  { name: "the site restarts during the build (really)", action: restartSite, befalls: isAfterUpload },
  { name: "the server restarts (really)", action: restartServer, befalls: (call) => !isHttp(call) },
];

/** The distinct calls of an undisturbed `up` from nothing, in their order. Leaves nothing behind. */
export async function callsOfUp(scene: Scene): Promise<Call[]> {
  const calls = new Map<string, Call>();
  const seen = new Map<string, number>();
  scene.onPoint(async (point) => {
    if (point.phase === "done" || !isOfClient(point)) return undefined;
    const { host, method } = point;
    const path = patternOf(point.path);
    const key = `${host} ${method} ${path}`;
    const skip = host.startsWith("postgres:") ? (seen.get(key) ?? 0) : 0;
    seen.set(key, skip + 1);
    calls.set(`${key} ${skip}`, { host, method, path, skip });
    return undefined;
  });
  await scene.run("up").ended;
  await scene.clear();
  return [...calls.values()];
}

function patternOf(path: string): string {
  return path
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/gi, "*")
    .replace(/\b[0-9a-f]{32,}\b/gi, "*")
    .replace(/(azureAsyncOperation|operationResults|operationStatuses|operations)\/[^/]+/gi, "$1/*");
}

/** So many runs of `up` may be needed when each stops at another call; every one of them must say why. */
const mostRuns = 60;
/** Longest single run: nothing in these troubles is worth minutes of waiting, and a loaded machine makes some of seconds. */
const longestRunMs = 120_000;

/**
 * Lets each of the calls fail once in this way, and runs `up` until it succeeds: every run that stops must do so with a typed error and a hint,
 * after a bounded number of calls, and the end must be that of an undisturbed run. Starts and ends with nothing there.
 */
export async function runWithTrouble(scene: Scene, trouble: Trouble, calls: readonly Call[], reference: Reference): Promise<FaultVerdict> {
  const befallen = calls.filter((call) => trouble.befalls(call));
  const { action } = trouble;
  const events = typeof action === "function" ? befallen.map((call) => ({ call, seen: 0, happened: false })) : [];
  if (typeof action !== "function") for (const call of befallen) scene.emulator.faults.add({ ...call, times: 1, action });
  const problems: string[] = [];
  const codes: string[] = [];
  const bound = reference.calls.up.length * 2 + befallen.length * 6;
  const journalStart = scene.emulator.journal.entries().at(-1)?.n ?? 0;
  let runs = 0;
  for (let isDone = false; !isDone; ) {
    runs += 1;
    let seen = 0;
    let isBusy = false;
    scene.onPoint(async (point) => {
      if (point.phase === "done" || !isOfClient(point) || isBusy) return undefined;
      seen += 1;
      const due = events.filter(({ call, happened }) => !happened && isCall(call, point));
      for (const event of due) event.seen += 1;
      if (typeof action !== "function" || !due.some((event) => event.seen > event.call.skip)) return undefined;
      for (const event of due) event.happened ||= event.seen > event.call.skip;
      isBusy = true; // what it does are calls too
      await action(scene).finally(() => {
        isBusy = false;
      });
      return undefined;
    });
    const ended = await scene.run("up").ended;
    scene.onPoint(undefined);
    if (seen > bound) problems.push(`run ${runs} made ${seen} calls, more than ${bound}`);
    if (ended.ms > longestRunMs) problems.push(`run ${runs} took ${ended.ms} ms`);
    isDone = ended.code === 0;
    if (!isDone) {
      const { code, problem } = judge(ended);
      codes.push(code);
      if (problem) problems.push(`run ${runs}: ${problem}`);
    }
    if (runs >= mostRuns || problems.length >= 5) break;
  }
  const caught = scene.emulator.faults.list().some((fault) => fault.caught > 0) || events.some(({ happened }) => happened);
  if (befallen.length > 0 && !caught) problems.push("the fault caught nothing");
  problems.push(...hurried(scene, journalStart));
  scene.emulator.faults.clear();
  await settled(scene);
  const after = await takeSnapshot(scene);
  problems.push(...differences(reference.snapshot.state, after?.state));
  await scene.clear();
  const [only] = befallen;
  const words = befallen.length === 1 && only ? `${only.host} ${only.method} ${only.path} ${only.skip}` : `${befallen.length} calls`;
  return { trouble: trouble.name, calls: words, runs, codes, problems };
}

/** A restart of ours may still go on when the run it befell has ended. */
async function settled({ emulator, group, names }: Scene): Promise<void> {
  const server = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}?api-version=2025-08-01`;
  await emulator.until(server, ({ status, body }) => status === 404 || body.properties.state !== "Restarting");
}

function isCall(call: Call, point: { readonly host: string; readonly method: string; readonly path: string }): boolean {
  return call.host === point.host && call.method === point.method && call.path === patternOf(point.path);
}

/** Calls made again (the SDKs keep their request ID) before the second that their 429 asked for was over. */
function hurried({ emulator }: Scene, since: number): string[] {
  const entries = emulator.journal.entries().filter(({ n }) => n > since);
  return entries.flatMap(({ n, status, clientRequestId, method, path, time }) => {
    if (status !== 429 || clientRequestId === undefined) return [];
    const again = entries.find((later) => later.n > n && later.clientRequestId === clientRequestId);
    const gapMs = again ? Date.parse(again.time) - Date.parse(time) : retryAfterMs;
    return gapMs < retryAfterMs - clockSlackMs ? [`${method} ${path} was made again after ${gapMs} ms`] : [];
  });
}

const retryAfterMs = 1_000;
const clockSlackMs = 20;

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
