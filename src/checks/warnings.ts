import type { Site } from "../cloud/app-service/sites.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { observedIn } from "../engine/observed.ts";
import type { Plan } from "../engine/plan.ts";
import type { Warning } from "../engine/report.ts";
import type { Step } from "../engine/step.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import type { Firewall } from "../steps/firewall.ts";
import { type BoundCheck, bindChecks } from "./check.ts";
import { type LockoutContext, lockedOut, orNothing } from "./locked-out.ts";
import { firewallIsNarrow } from "./network.ts";
import { noSecretSetting } from "./settings.ts";
import { absent } from "./shared-facts.ts";
import { noOrphans } from "./subscription.ts";

/** The steps of a project whose readings are looked at. */
interface ReadSteps {
  readonly group: Step<ResourceGroup>;
  readonly server: Step<PostgresServer>;
  readonly firewall: Step<Firewall>;
  readonly sites: readonly { readonly setup: SiteSetup; readonly settings: Step<Record<string, string>> }[];
}

/**
 * What the steps leave as it is although it makes the project less safe, and who is locked out by what they do: those checks of `doctor` that
 * can be asked of what the plan has read, and (unless `isQuick`) of the list of the group's web apps; asks more only where password
 * authentication is on. Throws only on Ctrl-C and bugs.
 */
export async function warningsOf(
  context: LockoutContext & { readonly graph: ReadSteps },
  plan: Plan,
  { isQuick = false }: { readonly isQuick?: boolean } = {},
): Promise<Warning[]> {
  const { setup, cloud, graph } = context;
  const server = observedIn(plan, graph.server);
  const firewall = observedIn(plan, graph.firewall);
  const staying = (firewall?.rules ?? []).filter((rule) => !firewall?.unwanted.includes(rule));
  const sites = isQuick || observedIn(plan, graph.group) === undefined ? [] : await orNothing(cloud.sites.list(setup.resourceGroup));
  const checks = [
    ...bindChecks([firewallIsNarrow], {
      context,
      rules: async () => staying,
      server: async () => server ?? absent(`flexible server ${setup.server.name}`),
    }),
    ...graph.sites.flatMap(({ setup: app, settings }) => {
      const present = observedIn(plan, settings);
      return bindChecks([noSecretSetting], { app, settings: async () => ({ ...present, ...app.settings }) }, app.label);
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
