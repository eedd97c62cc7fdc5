import type { FirewallRule, PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { WebApp } from "../cloud/web-apps.ts";
import { type Difference, defineStep, type Step } from "../engine/step.ts";

/** The rules that stand, and what the apps and earlier runs make of them. */
export interface Firewall {
  readonly rules: readonly FirewallRule[];
  /** Ranges that are wanted and not there. */
  readonly missing: readonly FirewallRule[];
  /** Openings that earlier runs of this tool left behind. */
  readonly leftovers: readonly string[];
}

/** Name of the rule that lets Azure's own traffic in: 0.0.0.0 to 0.0.0.0 by Azure's convention. */
export const azureServicesRule: FirewallRule = { name: "azure-services", start: "0.0.0.0", end: "0.0.0.0" };

interface FirewallContext {
  readonly group: string;
  readonly servers: PostgresServers;
  findLeftovers(rules: readonly FirewallRule[]): string[];
}

/** The way of the apps to the server; also takes away what a killed run left open. */
export const firewallForAzureServices = (context: FirewallContext, needs: { readonly server: Step<PostgresServer> }) =>
  defineStep<Firewall, typeof needs>({
    name: "firewall",
    needs,
    read: ({ server }) => readFirewall(context, server, [azureServicesRule]),
    plan: planFirewall,
    apply: (_change, { server }, observed) => applyFirewall(context, server, observed),
  });

/** The same with a rule for each outbound address a web app may have, instead of all of Azure. */
export const firewallForAddresses = (
  context: FirewallContext,
  needs: { readonly server: Step<PostgresServer>; readonly [app: `site ${string}`]: Step<WebApp> },
) =>
  defineStep<Firewall, Record<string, Step<PostgresServer> | Step<WebApp>>>({
    name: "firewall",
    needs,
    read: (values) => {
      const { server, ...sites } = values as { server: PostgresServer } & Record<string, WebApp>;
      const addresses = Object.values(sites).flatMap((site) => (site as WebApp).possibleOutboundAddresses);
      return readFirewall(context, server as PostgresServer, rangesOf(addresses));
    },
    plan: planFirewall,
    apply: (_change, values, observed) => applyFirewall(context, values.server as PostgresServer, observed),
  });

async function readFirewall(context: FirewallContext, server: PostgresServer, wanted: readonly FirewallRule[]): Promise<Firewall> {
  const rules = await context.servers.listFirewallRules(context.group, server.name);
  const missing = wanted.filter(
    ({ start, end }) =>
      !rules.some((rule) => covers(rule, start) && covers(rule, end) && (start === "0.0.0.0") === (rule.end === "0.0.0.0")),
  );
  return { rules, missing, leftovers: context.findLeftovers(rules) };
}

function planFirewall(
  observed: Firewall | undefined,
): { kind: "keep" } | { kind: "create" } | { kind: "update"; differences: Difference[] } {
  if (!observed) return { kind: "create" };
  const differences: Difference[] = [
    ...observed.missing.map(({ name, start, end }) => ({
      field: `rule ${name}`,
      observed: undefined,
      desired: start === end ? start : `${start}-${end}`,
    })),
    ...observed.leftovers.map((name) => ({ field: `rule ${name}`, observed: "left behind by an earlier run", desired: "removed" })),
  ];
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

async function applyFirewall({ servers, group }: FirewallContext, server: PostgresServer, observed: Firewall | undefined): Promise<void> {
  for (const name of observed?.leftovers ?? []) await servers.deleteFirewallRule(group, server.name, name);
  for (const rule of observed?.missing ?? []) await servers.putFirewallRule(group, server.name, rule);
}

/** More than 65,536 addresses are nobody's own: such a rule is open to strangers. */
export function isWide({ start, end }: FirewallRule): boolean {
  return toNumber(end) - toNumber(start) >= 65_536;
}

/** `office 203.0.113.7`, `everybody 1.0.0.0-255.255.255.255` */
export function ruleWords({ name, start, end }: FirewallRule): string {
  return `${name} ${start === end ? start : `${start}-${end}`}`;
}

/** Does the rule let the IPv4 address in? */
export function covers(rule: FirewallRule, address: string): boolean {
  const value = toNumber(address);
  return toNumber(rule.start) <= value && value <= toNumber(rule.end);
}

/** Single addresses, with neighbours drawn together: fewer rules, each costs a minute on Azure. */
export function rangesOf(addresses: readonly string[]): FirewallRule[] {
  const ranges: { start: number; end: number }[] = [];
  for (const value of [...new Set(addresses.map(toNumber))].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && value === last.end + 1) last.end = value;
    else ranges.push({ start: value, end: value });
  }
  return ranges.map(({ start, end }) => ({
    name: `app-${toAddress(start).replaceAll(".", "-")}`,
    start: toAddress(start),
    end: toAddress(end),
  }));
}

function toNumber(address: string): number {
  return address.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
