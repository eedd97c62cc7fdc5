import { KnownError } from "../base/errors.ts";
import { memoize } from "../base/memoize.ts";
import { describeStatus, type SiteResponse } from "../cloud/app-service/site-client.ts";
import { identityVerdict } from "../steps/app-identity.ts";
import type { Finding } from "./check.ts";
import type { OutsideFacts } from "./site-facts.ts";

/** A web app that was just restarted answers 502 to 504 with App Service's own page for some seconds; the app's own 503 is another thing. */
const startingMs = 30_000;

/** So long after a change of the web app its container of before may still answer, with the settings and the identity it had (inferred). */
const restartingMs = 60_000;

/** What the templates answer at `/healthz/database`, as far as it is looked at. */
interface DatabaseRoute {
  readonly response: SiteResponse;
  readonly body: Record<string, unknown>;
  /** An app may answer anything to a path it does not know. */
  readonly isThere: boolean;
  /** The app signed in as its role, over TLS. */
  readonly isFine: boolean;
}

/** What the app itself says. Throws "azure/not-found" where no web app is running, "azure/unreachable" where nobody answers. */
export function gatherAppProof(facts: OutsideFacts) {
  const { app } = facts;
  const get = async (path: string, patience: Patience): Promise<SiteResponse> => {
    const client = await clientOf(facts);
    return answerOf(facts, () => client.get(path), patience);
  };
  const home = memoize(() => get("/", { isWell: ({ status }) => status < 500 }));
  return {
    home,
    /** At its health path, else its front page. */
    health: app.health ? memoize(() => get(app.health, { isWell: isHealthy })) : home,
    databaseRoute: memoize(async () => {
      const isWell = (response: SiteResponse): boolean => {
        const { isThere, isFine } = databaseRouteOf(response, app.role);
        return isFine || !isThere;
      };
      const response = await get("/healthz/database", { isWell, isWorthWaiting: () => canSignIn(facts) });
      return databaseRouteOf(response, app.role);
    }),
  };
}

/** The statuses that App Service's health check takes as well. */
export function isHealthy({ status }: SiteResponse): boolean {
  return status >= 200 && status < 300;
}

/**
 * A row written and read through the app's own routes. `marker`: a text that no other row has.
 * The templates have the routes; other apps are judged by their health path.
 */
export async function rowCameBack(facts: OutsideFacts, marker: string): Promise<Finding> {
  const client = await clientOf(facts);
  const written = await answerOf(facts, () => client.post("/items", { name: marker }, { timeoutMs: 60_000 }), { isWell: () => true });
  if (written.status !== 201) return { ok: false, detail: `POST /items ${describeAnswer(written)}` };
  const id = String(asJson(written.body).id);
  const read = await answerOf(facts, () => client.get(`/items/${encodeURIComponent(id)}`), { isWell: () => true });
  const isSame = read.status === 200 && asJson(read.body).name === marker;
  return { ok: isSame, detail: isSame ? `item ${id} came back` : `GET /items/${id} ${describeAnswer(read)}` };
}

/** Its status, and the beginning of what it says in one line. */
export function describeAnswer(response: SiteResponse): string {
  return `${describeStatus(response)} ${response.body.replace(/\s+/g, " ").slice(0, 300)}`;
}

async function clientOf({ context, site }: Pick<OutsideFacts, "context" | "site">) {
  const found = await site();
  if (found.state === "Running") return context.cloud.site(found);
  throw new KnownError("azure/not-found", `web app ${found.name} is ${found.state}`, { hint: "run `passwordless-pg webapp start`" });
}

function databaseRouteOf(response: SiteResponse, role: string): DatabaseRoute {
  const body = asJson(response.body);
  const isAnswer = typeof body.status === "string" || typeof body.user === "string" || response.status >= 500;
  return {
    response,
    body,
    isThere: isAnswer && response.status !== 404 && response.status !== 405,
    isFine: response.status === 200 && body.user === role && body.tls === true,
  };
}

/** Else no container of the app can sign in, the next one neither; what keeps us from looking is told by the checks of identity and role. */
async function canSignIn({ site, identity, findPrincipal, access }: OutsideFacts): Promise<boolean> {
  return Promise.all([site(), identity(), findPrincipal(), access()]).then(
    ([web, chosen, principal, { connect, loginBlockers }]) =>
      identityVerdict(web, chosen).ok &&
      principal?.objectId.toLowerCase() === web.principalId?.toLowerCase() &&
      connect &&
      loginBlockers.length === 0,
    () => false,
  );
}

interface Patience {
  isWell(response: SiteResponse): boolean;
  /** Whether a container to come may do better than the one that answered. */
  isWorthWaiting?(): Promise<boolean>;
}

/** The first answer; where the web apps were changed a moment ago, that of the container to come. */
async function answerOf(
  { context, site }: Pick<OutsideFacts, "context" | "site">,
  ask: () => Promise<SiteResponse>,
  { isWell, isWorthWaiting }: Patience,
): Promise<SiteResponse> {
  const { clock, signal, areRestarting } = context;
  const startedAt = clock.now();
  // Azure's clock and ours may differ: never longer than from now.
  const changedAt = Math.min((await site()).changedAt ?? 0, startedAt);
  for (;;) {
    const response = await ask();
    const isStarting = isPlatformPage(response);
    if (!areRestarting || (!isStarting && isWell(response))) return response;
    if (clock.now() >= (isStarting ? startedAt + startingMs : changedAt + restartingMs)) return response;
    if (!isStarting && isWorthWaiting && !(await isWorthWaiting())) return response;
    await clock.sleep(isStarting ? 500 : 1_000, signal);
  }
}

function isPlatformPage({ status, body }: SiteResponse): boolean {
  return status >= 502 && status <= 504 && Object.keys(asJson(body)).length === 0;
}

function asJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
