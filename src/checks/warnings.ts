import { KnownError } from "../base/errors.ts";
import type { WebApp } from "../cloud/app-service/web-apps.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Plan } from "../engine/plan.ts";
import type { Warning } from "../engine/report.ts";
import type { Setup } from "../project/setup.ts";
import { describeOrphans, findOrphans, orphansName } from "../removal/orphans.ts";
import { administratorLogin } from "../steps/entra-administrator.ts";
import { exposureOf, type Firewall } from "../steps/firewall.ts";
import { secretSettingNames } from "../steps/secret-settings.ts";

interface WarningContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
}

/**
 * What the steps leave as it is although it makes the project less safe, and who is locked out by what they do. Looks at what the plan has
 * read, and (unless `isQuick`) at the list of the group's web apps; asks more only where password authentication is on. Throws only on Ctrl-C and bugs.
 */
export async function warningsOf(
  context: WarningContext,
  { steps }: Plan,
  { isQuick = false }: { readonly isQuick?: boolean } = {},
): Promise<Warning[]> {
  const observed = new Map(steps.map((entry) => [entry.step.name, entry.observed]));
  const server = observed.get("flexible server") as PostgresServer | undefined;
  const firewall = observed.get("firewall") as Firewall | undefined;
  const staying = (firewall?.rules ?? []).filter((rule) => !firewall?.unwanted.includes(rule));
  const exposure = exposureOf(staying, context.setup.server.firewall);
  const secrets = context.setup.sites.flatMap(({ label, settings }): Warning[] => {
    const present = observed.get(`app settings ${label}`) as Record<string, string> | undefined;
    const names = secretSettingNames({ ...present, ...settings });
    if (names.length === 0) return [];
    const hint =
      secretSettingNames(settings).length > 0
        ? "take it out of the project file, which others read: the app signs in with its identity; other secrets belong into a key vault"
        : "remove that setting when the app no longer needs it: it signs in with its identity";
    return [{ name: `${label}: settings hold no secret`, detail: `settings of ${label} hold secrets: ${names.join(", ")}`, hint }];
  });
  const open: Warning[] =
    exposure === undefined
      ? []
      : [
          {
            name: "firewall is narrow",
            detail: `the server is ${exposure.words}`,
            hint: "`passwordless-pg doctor` names the command that removes it",
          },
        ];
  const { setup, cloud } = context;
  const sites = isQuick || observed.get("resource group") === undefined ? [] : await orNothing(cloud.webApps.list(setup.resourceGroup));
  const left = strayWarning(sites, setup);
  const losers = server?.passwordAuth && server.state === "Ready" ? await lockedOut(context, server, sites) : [];
  return [...open, ...secrets, ...left, ...losers];
}

/** The warning of web apps that the file no longer names, for a command that has no plan. Empty also where they may not be listed. */
export async function strayWarnings({ setup, cloud }: Pick<WarningContext, "setup" | "cloud">): Promise<Warning[]> {
  return strayWarning(await orNothing(cloud.webApps.list(setup.resourceGroup)), setup);
}

function strayWarning(sites: readonly WebApp[], setup: Setup): Warning[] {
  const strays = findOrphans(sites, setup);
  return strays.length === 0 ? [] : [{ name: orphansName, ...describeOrphans(strays, setup) }];
}

/** Those who sign in with a password today, which `init` ends. */
async function lockedOut(context: WarningContext, server: PostgresServer, sites: readonly WebApp[]): Promise<Warning[]> {
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
async function webAppsWithPassword({ setup, cloud }: WarningContext, server: PostgresServer, sites: readonly WebApp[]): Promise<string[]> {
  const { resourceGroup: group } = setup;
  const others = sites.filter((site) => !setup.sites.some(({ address: { app: name } }) => name === site.name));
  const found = await Promise.all(
    others.map(async ({ name }) => {
      const settings = (await cloud.webApps.getSettings(group, name)) ?? {};
      const isUser = Object.values(settings).some((value) => value.includes(server.host));
      const names = secretSettingNames(settings);
      return isUser && names.length > 0 ? [`web app ${name} (${names.join(", ")})`] : [];
    }),
  );
  return found.flat();
}

async function rolesWithPassword({ setup, cloud, firewallAccess }: WarningContext, server: PostgresServer): Promise<string[]> {
  const login = await administratorLogin({ cloud, firewallAccess, group: setup.resourceGroup }, server);
  const roles = await firewallAccess.withAccess(server, () => cloud.principals.passwordRoles(server, login));
  return roles.map((role) => `role ${role}`);
}

/** A server that lets nobody in yet, or settings that may not be read: nothing is known, and the plan says the rest. */
async function orNothing<T>(looking: Promise<T[]>): Promise<T[]> {
  try {
    return await looking;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
    return [];
  }
}
