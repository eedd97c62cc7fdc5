import { createHash, timingSafeEqual } from "node:crypto";
import { armError } from "./http/arm-error.ts";
import type { Fault, Faults } from "./http/faults.ts";
import type { Journal } from "./http/journal.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "./http/router.ts";
import type { Directory, Service } from "./platform.ts";
import { type EntraTokens, flaws, type TokenFlaw } from "./services/entra/tokens.ts";

export interface ControlDependencies {
  readonly key: string;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly directory: Directory;
  readonly tokens: EntraTokens;
  readonly services: readonly Service[];
  status(): object;
  /** Begins the orderly end; answers do not wait for it. */
  shutdown(): void;
}

/** The control API of local Azure, `/_local/…`: for `local …` commands, tests and people. Every route needs the control key. */
export function controlRoutes(dependencies: ControlDependencies): readonly Route[] {
  return operations(dependencies).map((operation) => ({
    ...operation,
    path: `/_local${operation.path}`,
    handle: (request) => {
      checkKey(dependencies.key, request);
      return operation.handle(request);
    },
  }));
}

function operations({ journal, faults, services, status, shutdown, ...dependencies }: ControlDependencies): readonly Route[] {
  return [
    route("GET", "/status", "inferred", () => json(200, status())),
    route("GET", "/journal", "inferred", ({ url }) => {
      const since = Number(url.searchParams.get("since") ?? 0);
      return json(200, { value: journal.entries().filter(({ n }) => n > since) });
    }),
    route("DELETE", "/journal", "inferred", () => {
      journal.clear();
      return empty(204);
    }),
    route("GET", "/faults", "inferred", () => json(200, { value: faults.list() })),
    route("POST", "/faults", "inferred", {}, ({ body }) => json(201, { id: faults.add(faultFrom(body)) })),
    route("DELETE", "/faults", "inferred", () => {
      faults.clear();
      return empty(204);
    }),
    route("DELETE", "/faults/{fault}", "inferred", ({ params }) => empty(faults.remove(params.fault ?? "") ? 204 : 404)),
    route("POST", "/tokens", "inferred", {}, ({ body }) => json(200, mint(dependencies, body))),
    route("GET", "/coverage", "inferred", () => json(200, { value: coverageOf(services) })),
    route("POST", "/shutdown", "inferred", "none", () => {
      shutdown();
      return empty(202);
    }),
  ];
}

function checkKey(key: string, request: EmulatorRequest): void {
  const given = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(key))) return;
  throw armError(
    401,
    "ControlKeyRequired",
    "The control API of local Azure needs the key in keys/control-key of its home as bearer token.",
  );
}

const ACTION_KINDS = ["status", "reset", "stall", "cut", "html", "operation-fails", "drop-after", "sql-error", "tls"];
const TLS_FLAWS = ["stranger", "expired", "wrong-name", "refused"];

function faultFrom(body: unknown): Fault {
  const fault = body as
    | { action?: { kind?: unknown; status?: unknown; ms?: unknown; code?: unknown; sqlState?: unknown; flaw?: unknown } }
    | undefined;
  const action = fault?.action;
  const invalid = (what: string) => armError(400, "InvalidFault", `The fault is not valid: ${what}.`);
  if (!ACTION_KINDS.includes(String(action?.kind))) throw invalid(`action.kind must be one of ${ACTION_KINDS.join(", ")}`);
  if (action?.kind === "status" && !isStatus(action.status)) throw invalid("action.status must be a number from 200 to 599");
  if (action?.kind === "stall" && typeof action.ms !== "number") throw invalid("action.ms must be a number");
  if (action?.kind === "operation-fails" && typeof action.code !== "string") throw invalid("action.code must be a text");
  if (action?.kind === "sql-error" && typeof action.sqlState !== "string") throw invalid("action.sqlState must be a text");
  if (action?.kind === "tls" && !TLS_FLAWS.includes(String(action.flaw)))
    throw invalid(`action.flaw must be one of ${TLS_FLAWS.join(", ")}`);
  return body as Fault;
}

function isStatus(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 200 && value <= 599;
}

function mint({ directory, tokens }: Pick<ControlDependencies, "directory" | "tokens">, body: unknown): object {
  const wanted = body as { principal?: unknown; audience?: unknown; lifetimeSeconds?: unknown; flaw?: unknown } | undefined;
  const name = String(wanted?.principal ?? "");
  const principal = directory.find(name) ?? directory.findByAppId(name) ?? directory.findByName(name)[0];
  if (!principal) throw armError(404, "PrincipalNotFound", `No principal '${name}' in the tenant of local Azure.`);
  if (typeof wanted?.audience !== "string") throw armError(400, "AudienceRequired", "The token's audience is required.");
  const flaw = wanted.flaw;
  if (flaw !== undefined && !isFlaw(flaw)) throw armError(400, "InvalidFlaw", `The flaw must be one of ${flaws.join(", ")}.`);
  const lifetime = typeof wanted.lifetimeSeconds === "number" ? { lifetimeSeconds: wanted.lifetimeSeconds } : {};
  const minted = tokens.mintFor(principal, wanted.audience, { ...lifetime, ...(flaw ? { flaw } : {}) });
  return { token: minted.token, expiresOn: minted.expiresOn, objectId: principal.objectId };
}

function isFlaw(value: unknown): value is TokenFlaw {
  return flaws.some((flaw) => flaw === value);
}

/** What local Azure claims to answer, one line an operation: where it is, which versions it answers, where the knowledge comes from. */
function coverageOf(services: readonly Service[]): readonly object[] {
  return services.flatMap(({ namespace, apiVersions, routes }) =>
    routes
      .filter(({ isUnlisted }) => !isUnlisted)
      .map(({ method, path, source }) => ({ service: namespace, method, path, apiVersions, source })),
  );
}
