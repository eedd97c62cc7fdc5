import type { Site } from "../cloud/app-service/sites.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Warning } from "../engine/report.ts";
import type { Firewall } from "../steps/firewall.ts";
import { type BoundCheck, bindChecks } from "./check.ts";
import { type LockoutContext, lockedOut, orNothing } from "./locked-out.ts";
import { firewallIsNarrow } from "./network.ts";
import { noSecretSetting } from "./settings.ts";
import { absent } from "./shared-facts.ts";
import { noOrphans } from "./subscription.ts";

/** What a plan has read of that which is warned of; `undefined` when it is absent. */
export interface PlannedFacts {
  readonly hasGroup: boolean;
  readonly server: PostgresServer | undefined;
  readonly firewall: Firewall | undefined;
  /** App settings by the label of their site. */
  readonly settings: ReadonlyMap<string, Readonly<Record<string, string>> | undefined>;
}

export interface WarningOptions {
  /** Nothing is asked but what the plan has read, and who is locked out. */
  readonly isQuick?: boolean;
}

/**
 * What the steps leave as it is although it makes the project less safe, and who is locked out by what they do: those checks of `doctor` that
 * can be asked of what the plan has read, and (unless `isQuick`) of the list of the group's web apps; asks more only where password
 * authentication is on. Throws only on Ctrl-C and bugs.
 */
export async function plannedWarnings(
  context: LockoutContext,
  planned: PlannedFacts,
  { isQuick = false }: WarningOptions = {},
): Promise<Warning[]> {
  const { setup, cloud } = context;
  const { server, firewall } = planned;
  const staying = (firewall?.rules ?? []).filter((rule) => !firewall?.unwanted.includes(rule));
  const sites = isQuick || !planned.hasGroup ? [] : await orNothing(cloud.sites.list(setup.resourceGroup));
  const checks = [
    ...bindChecks([firewallIsNarrow], {
      context,
      rules: async () => staying,
      server: async () => server ?? absent(`flexible server ${setup.server.name}`),
    }),
    ...setup.sites.flatMap((app) => {
      const settings = { ...planned.settings.get(app.label), ...app.settings };
      return bindChecks([noSecretSetting], { app, settings: async () => settings }, app.label);
    }),
    ...bindChecks([noOrphans], { context, groupSites: async () => sites }),
  ];
  const warnings = await Promise.all(checks.map(warningOf));
  const losers = server?.passwordAuth && server.state === "Ready" ? await lockedOut(context, server, sites) : [];
  return [...warnings.flat(), ...losers];
}

/** The warning of web apps that the file no longer names, for a command that has no plan. Empty also where they may not be listed. */
export async function orphanWarnings({ setup, cloud }: Pick<LockoutContext, "setup" | "cloud">): Promise<Warning[]> {
  const groupSites = (): Promise<Site[]> => orNothing(cloud.sites.list(setup.resourceGroup));
  const warnings = await Promise.all(bindChecks([noOrphans], { context: { setup }, groupSites }).map(warningOf));
  return warnings.flat();
}

async function warningOf({ name, repair, look }: BoundCheck): Promise<Warning[]> {
  const finding = await look();
  return finding && !finding.ok ? [{ name, detail: finding.detail, hint: finding.hint ?? repair }] : [];
}
