import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { createRouter, type Route } from "../../src/emulator/http/router.ts";
import type { ScmContext } from "../../src/emulator/services/scm/context.ts";
import { scmRoutes } from "../../src/emulator/services/scm/routes.ts";

/** One operation, as `GET /_local/coverage` lists it. */
export interface Operation {
  readonly service: string;
  readonly method: Route["method"];
  readonly path: string;
  readonly apiVersions: readonly string[];
  readonly source: Route["source"];
}

/** What one suite of clients asked for, each request once, and what its local Azure said it answers. */
export interface Observed {
  readonly client: string;
  readonly requests: readonly { readonly host: string; readonly method: string; readonly path: string }[];
  readonly operations: readonly Operation[];
}

export const pageFile = resolve(import.meta.dirname, "../../src/emulator/docs/coverage.md");
/** Where the suites of clients leave it. */
export const observedFolder = resolve(import.meta.dirname, "../../node_modules/.cache/passwordless-pg/observed");

/** The routes of an SCM site: not ARM's, so not in the list of the control API. Only their handlers look at a site. */
export function scmOperations(): readonly Operation[] {
  return scmRoutes({} as ScmContext)
    .filter(({ path }) => path.startsWith("/api/"))
    .map(({ method, path, source }) => ({ service: "SCM site", method, path, apiVersions: [], source }));
}

/** The page: a table a service. `clientsOf` names the clients that used an operation. */
export function coveragePage(operations: readonly Operation[], clientsOf: (operation: Operation) => readonly string[]): string {
  const services = [...new Set(operations.map(({ service }) => service))];
  const sections = services.map((service) => {
    const rows = operations.filter((operation) => operation.service === service);
    const versions = rows[0]?.apiVersions ?? [];
    const lines = rows.map((row) => `| ${row.method} | \`${row.path}\` | ${row.source} | ${clientsOf(row).join(", ")} |`);
    const answered = versions.length > 0 ? `api-versions: ${versions.join(", ")}; also younger ones that are not of the future.\n\n` : "";
    return `## ${service}\n\n${answered}| method | path | source | used by |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`;
  });
  return `${HEAD}\n${sections.join("\n")}`;
}

const HEAD = `# What local Azure answers

Generated from the routes by \`UPDATE=1 npx vitest run --project emulator test/emulator/coverage.test.ts\`; \`npm test\` fails when it is not what the routes say.
Everything else answers 501 and names itself. Slots are not there yet: every operation on a web app answers for a slot as for one that does not exist.
Source of an operation's shape: *recorded* (real traffic), *specification* (azure-rest-api-specs, SDK), *documentation* (Microsoft's pages), *inferred*.
Used by: foreign clients that \`UPDATE=1 npm run test:clients\` last saw calling it.
`;

/** Newest first: a client that was left out this time has an older list of operations. */
function readObserved(): readonly Observed[] {
  const files = (existsSync(observedFolder) ? readdirSync(observedFolder) : []).map((file) => join(observedFolder, file));
  const newestFirst = files.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  return newestFirst.map((file) => JSON.parse(readFileSync(file, "utf8")) as Observed);
}

/** The operations as the last run's local Azure listed them. */
export function listedOperations(): readonly Operation[] {
  const [first] = readObserved();
  if (!first) throw new Error("The clients suite has left nothing: no coverage page can be written.");
  return first.operations;
}

/** Which clients the last run of the clients suite saw at each operation. */
export function observedClients(operations: readonly Operation[]): (operation: Operation) => readonly string[] {
  const observed = readObserved();
  const routesOf = (isScm: boolean) =>
    createRouter(
      operations
        .filter(({ service }) => (service === "SCM site") === isScm)
        .map(({ method, path, source }) => ({ method, path, source, body: "none" as const, handle: () => new Response() })),
    );
  const [arm, scm] = [routesOf(false), routesOf(true)];
  const used = new Map<string, Set<string>>();
  for (const { client, requests } of observed) {
    for (const { host, method, path } of requests) {
      const found = host.startsWith("scm:") ? (scm.find(method, path) ?? scm.find(method, `/api${path}`)) : arm.find(method, path);
      if (!found) continue;
      const key = `${found.route.method} ${found.route.path}`;
      used.set(key, (used.get(key) ?? new Set()).add(client));
    }
  }
  return ({ method, path }) => [...(used.get(`${method} ${path}`) ?? [])].sort();
}

/** Which clients a page has at each operation: that column only the clients suite can fill. */
export function clientsOnPage(page: string): (operation: Operation) => readonly string[] {
  const rows = new Map<string, readonly string[]>();
  for (const section of page.split(/^## /m)) {
    const service = section.slice(0, section.indexOf("\n"));
    for (const [, method, path, clients = ""] of section.matchAll(/^\| ([A-Z]+) \| `(.*)` \| \w+ \| (.*) \|$/gm)) {
      rows.set(`${service} ${method} ${path}`, clients.split(", ").filter(Boolean));
    }
  }
  return ({ service, method, path }) => rows.get(`${service} ${method} ${path}`) ?? [];
}
