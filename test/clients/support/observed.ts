import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Observed, observedFolder } from "../../support/coverage-page.ts";
import type { LocalAzure } from "./local-azure.ts";

/** Keeps what the journal says the client asked for, without what local Azure does not know. */
export async function writeObserved(client: string, local: LocalAzure): Promise<void> {
  const { value } = (await local.control("GET", "journal")) as {
    value: readonly { readonly host: string; readonly method: string; readonly path: string; readonly status: number }[];
  };
  const seen = new Map(
    value.filter(({ status }) => status !== 501).map(({ host, method, path }) => [`${host} ${method} ${path}`, { host, method, path }]),
  );
  mkdirSync(observedFolder, { recursive: true });
  const { value: operations } = (await local.control("GET", "coverage")) as { value: Observed["operations"] };
  const observed: Observed = { client, requests: [...seen.values()], operations };
  writeFileSync(join(observedFolder, `${client.replace(/\W+/g, "-")}.json`), JSON.stringify(observed));
}
