import { createHash } from "node:crypto";
import type { Site } from "../cloud/app-service/sites.ts";
import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { FirewallRule } from "../cloud/server-children.ts";
import { type Change, type Difference, defineStep, type Step } from "../engine/step.ts";
import type { FirewallPolicy } from "../project/file.ts";
import type { Setup } from "../project/setup.ts";

/** The rules that stand, and what the apps and earlier runs make of them. */
export interface Firewall {
  readonly rules: readonly FirewallRule[];
  /** Ranges that are wanted and not there. */
  readonly missing: readonly FirewallRule[];
  /** Openings that earlier runs of this tool left behind. */
  readonly leftovers: readonly string[];
  /** Rules that this project or Service Connector made and that the project file no longer asks for. */
  readonly unwanted: readonly FirewallRule[];
}

/** Name of the rule that lets Azure's own traffic in: 0.0.0.0 to 0.0.0.0 by Azure's convention. */
export const azureServicesRule: FirewallRule = { name: "azure-services", start: "0.0.0.0", end: "0.0.0.0" };

/** What a policy asks for. A further one is a row here. */
interface Policy {
  /** As people say it: `the apps' addresses`. */
  readonly lets: string;
  /** The outbound addresses of the sites are asked for: the sites come first. */
  readonly needsSites: boolean;
  wantedRules(sites: readonly Pick<Site, "possibleOutboundAddresses">[], owner: string): readonly FirewallRule[];
}

const policies: Readonly<Record<FirewallPolicy, Policy>> = {
  "azure-services": { lets: "all of Azure", needsSites: false, wantedRules: () => [azureServicesRule] },
  "app-addresses": {
    lets: "the apps' addresses",
    needsSites: true,
    wantedRules: (sites, owner) =>
      rangesOf(
        sites.flatMap(({ possibleOutboundAddresses }) => possibleOutboundAddresses),
        appPrefix(owner),
      ),
  },
};

/** The rules that the project wants; without its sites, those that it wants whatever the sites are. */
export function wantedRules(
  policy: FirewallPolicy,
  sites: readonly Pick<Site, "possibleOutboundAddresses">[] = [],
  owner = "",
): readonly FirewallRule[] {
  return policies[policy].wantedRules(sites, owner);
}

/** Do the rules of the policy follow from the sites? */
export function needsSites(policy: FirewallPolicy): boolean {
  return policies[policy].needsSites;
}

/** Does the project file let in all of Azure? If not, nobody is to open the server to it. */
export function isOpenToAzure(policy: FirewallPolicy): boolean {
  return wantedRules(policy).some(isAllOfAzure);
}

interface FirewallContext {
  readonly policy: FirewallPolicy;
  readonly group: string;
  readonly servers: PostgresServers;
  /** Of the project: its own rules for addresses are named by it. */
  readonly owner: string;
  findLeftovers(rules: readonly FirewallRule[]): string[];
  /** Is the rule for all of Azure one of the project, so that it may go? */
  mayClose(server: PostgresServer, rule: FirewallRule): boolean;
}

/** The way of the apps to the server; also takes away what a killed run left open, and what the policy no longer asks for. */
export const firewall = (context: FirewallContext, server: Step<PostgresServer>, sites: readonly Step<Site>[]) => {
  const needed = needsSites(context.policy) ? sites : [];
  const needs = { server, ...Object.fromEntries(needed.map((site): [`site ${string}`, Step<Site>] => [`site ${site.name}`, site])) };
  return defineStep<Firewall, FirewallNeeds>({
    name: "firewall",
    needs,
    read: ({ server, ...others }) => readFirewall(context, server, Object.values(others)),
    plan: planFirewall,
    apply: (_change, { server }, observed) => applyFirewall(context, server, observed),
  });
};

type FirewallNeeds = { readonly server: Step<PostgresServer>; readonly [site: `site ${string}`]: Step<Site> };

async function readFirewall(
  { servers, group, policy, owner, mayClose, findLeftovers }: FirewallContext,
  server: PostgresServer,
  sites: readonly Site[],
): Promise<Firewall> {
  const rules = await servers.listFirewallRules(group, server.name);
  const wanted = wantedRules(policy, sites, owner);
  const isFit = (rule: FirewallRule): boolean =>
    wanted.some(({ start, end }) => toNumber(start) <= toNumber(rule.start) && toNumber(rule.end) <= toNumber(end));
  const isSurplus = (rule: FirewallRule): boolean =>
    isAllOfAzure(rule) ? !isOpenToAzure(policy) && mayClose(server, rule) : rule.name.startsWith(appPrefix(owner)) && !isFit(rule);
  const surplus = rules.filter(isSurplus);
  const kept = rules.filter((rule) => !surplus.includes(rule));
  const missing = shutOut(wanted, kept);
  // One of the same name is written over.
  const unwanted = surplus.filter(({ name }) => !missing.some((range) => range.name === name));
  return { rules, missing, leftovers: findLeftovers(rules), unwanted };
}

function planFirewall(observed: Firewall | undefined): Change {
  if (!observed) return { kind: "create" };
  const differences: Difference[] = [
    ...observed.missing.map(({ name, start, end }) => ({
      field: `rule ${name}`,
      observed: undefined,
      desired: describeRange({ start, end }),
    })),
    ...observed.leftovers.map((name) => ({ field: `rule ${name}`, observed: "left behind by an earlier run", desired: "removed" })),
    ...observed.unwanted.map(({ name, start, end }) => ({
      field: `rule ${name}`,
      observed: describeRange({ start, end }),
      desired: "removed",
    })),
  ];
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

async function applyFirewall({ servers, group }: FirewallContext, server: PostgresServer, observed: Firewall | undefined): Promise<void> {
  for (const name of observed?.leftovers ?? []) await servers.deleteFirewallRule(group, server.name, name);
  for (const rule of observed?.missing ?? []) await servers.putFirewallRule(group, server.name, rule);
  // After the new ones: the apps are never shut out in between.
  for (const { name } of observed?.unwanted ?? []) await servers.deleteFirewallRule(group, server.name, name);
}

/** `0.0.0.0` to `0.0.0.0`: any machine in Azure, of any subscription. */
export function isAllOfAzure({ start, end }: Pick<FirewallRule, "start" | "end">): boolean {
  return toNumber(start) === 0 && toNumber(end) === 0;
}

/** Of the ranges that the project wants, those that no rule lets in whole. */
export function shutOut(wanted: readonly FirewallRule[], rules: readonly FirewallRule[]): FirewallRule[] {
  return wanted.filter(
    (range) => !rules.some((rule) => covers(rule, range.start) && covers(rule, range.end) && isAllOfAzure(range) === isAllOfAzure(rule)),
  );
}

interface Exposure {
  readonly rules: readonly FirewallRule[];
  /** `open to the internet` */
  readonly meaning: string;
  /** The same with the rules. */
  readonly words: string;
}

/** The rules that let more in than the project file asks for; `undefined` when there is none. */
export function exposureOf(rules: readonly FirewallRule[], policy: FirewallPolicy): Exposure | undefined {
  const kinds = [
    { meaning: "open to the internet", found: wideAmong(rules) },
    {
      meaning: `open to all of Azure, where the project file lets in ${policies[policy].lets} only`,
      found: isOpenToAzure(policy) ? [] : rules.filter(isAllOfAzure),
    },
  ].filter(({ found }) => found.length > 0);
  if (kinds.length === 0) return undefined;
  return {
    rules: kinds.flatMap(({ found }) => found),
    meaning: kinds.map(({ meaning }) => meaning).join("; "),
    words: kinds.map(({ meaning, found }) => `${meaning}: ${found.map(describeRule).join(", ")}`).join("; "),
  };
}

/** The command that removes a rule which is not this tool's to remove. */
export function removalCommand({ resourceGroup, server }: Setup, rule: Pick<FirewallRule, "name">): string {
  return `\`az postgres flexible-server firewall-rule delete -g ${resourceGroup} -n ${server.name} --rule-name ${rule.name}\``;
}

/** More addresses than these are nobody's own: such rules are open to strangers. */
const MOST_ADDRESSES = 65_536;

const sizeOf = ({ start, end }: FirewallRule): number => toNumber(end) - toNumber(start) + 1;

/**
 * Rules that are open to strangers: one by itself, many together, or one that begins at 0.0.0.0 and is not the rule for all of Azure (what
 * Azure makes of such a range was not found).
 */
function wideAmong(rules: readonly FirewallRule[]): FirewallRule[] {
  const alone = rules.filter((rule) => sizeOf(rule) > MOST_ADDRESSES || (rule.start === "0.0.0.0" && rule.end !== "0.0.0.0"));
  const ranges = rules.filter((rule) => !alone.includes(rule) && sizeOf(rule) > 1);
  const together = ranges.reduce((sum, rule) => sum + sizeOf(rule), 0);
  return together > MOST_ADDRESSES ? [...alone, ...ranges] : alone;
}

/** `office 203.0.113.7`, `everybody 1.0.0.0-255.255.255.255` */
export function describeRule({ name, start, end }: FirewallRule): string {
  return `${name} ${describeRange({ start, end })}`;
}

function describeRange({ start, end }: Pick<FirewallRule, "start" | "end">): string {
  return start === end ? start : `${start}-${end}`;
}

/** Names of a project's own rules for addresses begin so: another project may have such rules on the same server. */
function appPrefix(owner: string): string {
  return `app-${createHash("sha256").update(owner).digest("hex").slice(0, 6)}-`;
}

/** Does the rule let the IPv4 address in? */
export function covers(rule: FirewallRule, address: string): boolean {
  const value = toNumber(address);
  return toNumber(rule.start) <= value && value <= toNumber(rule.end);
}

/** Single addresses, with neighbours drawn together: fewer rules, each costs a minute on Azure. Their names begin with `prefix`. */
export function rangesOf(addresses: readonly string[], prefix = "app-"): FirewallRule[] {
  const ranges: { start: number; end: number }[] = [];
  for (const value of [...new Set(addresses.map(toNumber))].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && value === last.end + 1) last.end = value;
    else ranges.push({ start: value, end: value });
  }
  return ranges.map(({ start, end }) => ({
    name: `${prefix}${toAddress(start).replaceAll(".", "-")}`,
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
