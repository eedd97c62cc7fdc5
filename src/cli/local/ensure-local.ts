import { readFile } from "node:fs/promises";
import type { SignInSettings } from "../../cloud/credential.ts";
import { type Environment, environments } from "../../cloud/environment.ts";
import { localStatus, requireAnswer, startLocal } from "../../emulator/local.ts";
import type { Io } from "../terminal/io.ts";
import { localHints } from "./local-hints.ts";
import { daemonFile, localHome } from "./local-home.ts";

/**
 * Starts local Azure when it is not running, and answers with all a client needs to use it. Says so when a server of this version will need a download.
 */
export async function ensureLocal(
  io: Io,
  postgresVersion: string,
): Promise<{ readonly environment: Environment; readonly settings: SignInSettings; readonly subscriptionId: string }> {
  const home = localHome(io);
  let status = await localStatus(home);
  if (!status.running) {
    io.note(`starting local Azure in ${home}`);
    status = await startLocal(home, { daemonFile: daemonFile(io), signal: io.signal, onNote: io.note });
  } else await requireAnswer(status, io.signal);
  const { missingPostgres } = await import("../../emulator/local-postgres.ts");
  const missing = await missingPostgres(home, postgresVersion);
  if (missing)
    io.note(`local Azure has no PostgreSQL ${postgresVersion} yet: it fetches ${missing} (24 MB) with npm, once, when it makes the server`);
  const [caPem, clientSecret] = await Promise.all([readFile(status.caFile, "utf8"), readFile(status.clientSecretFile, "utf8")]);
  return {
    environment: {
      name: "local",
      resourceManager: status.arm,
      authorityHost: status.authority,
      scopes: environments.public.scopes,
      siteScheme: "http",
      scmDomains: ["localhost"],
      hasOwnAuthority: true,
      caPem,
      hints: localHints,
      limits: { callMs: 60_000, authorityCallMs: 10_000 },
    },
    settings: { tenantId: status.tenantId, clientId: status.clientId, clientSecret },
    subscriptionId: status.subscriptionId,
  };
}

export async function isLocalRunning(io: Io): Promise<boolean> {
  return (await localStatus(localHome(io))).running;
}
