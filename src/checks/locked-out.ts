import { KnownError } from "../base/errors.ts";
import { siteName } from "../base/site-address.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Warning } from "../engine/report.ts";
import type { Setup } from "../project/setup.ts";
import { secretSettingNames } from "../steps/secret-settings.ts";

export interface LockoutContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
}

/** Those who sign in with a password today, which `init` ends. */
export async function lockedOut(context: LockoutContext, server: PostgresServer, sites: readonly Site[]): Promise<Warning[]> {
  const found = await Promise.all([webAppsWithPassword(context, server, sites), rolesWithPassword(context, server)].map(orNothing));
  const users = found.flat();
  if (users.length === 0) return [];
  return [
    {
      name: "password authentication is off",
      detail: `password authentication is turned off; this ends the logins of ${users.join(", ")}`,
      hint: "let them sign in with tokens first; `az postgres flexible-server update --password-auth Enabled` brings passwords back",
    },
  ];
}

/** Other web apps of the group whose settings name this server and hold a secret. */
async function webAppsWithPassword({ setup, cloud }: LockoutContext, server: PostgresServer, sites: readonly Site[]): Promise<string[]> {
  const { resourceGroup: group } = setup;
  const others = sites.filter((site) => !setup.sites.some(({ address }) => siteName(address) === site.name));
  const found = await Promise.all(
    others.map(async ({ name }) => {
      const settings = (await cloud.sites.at({ group, app: name }).getSettings()) ?? {};
      const isUser = Object.values(settings).some((value) => value.includes(server.host));
      const names = secretSettingNames(settings);
      return isUser && names.length > 0 ? [`web app ${name} (${names.join(", ")})`] : [];
    }),
  );
  return found.flat();
}

async function rolesWithPassword({ cloud, firewallAccess }: LockoutContext, server: PostgresServer): Promise<string[]> {
  const roles = await (await cloud.databases(firewallAccess).asAdministrator(server)).listWithPassword();
  return roles.map((role) => `role ${role}`);
}

/** A server that lets nobody in yet, or settings that may not be read: nothing is known, and the plan says the rest. */
export async function orNothing<T>(looking: Promise<T[]>): Promise<T[]> {
  try {
    return await looking;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
    return [];
  }
}
