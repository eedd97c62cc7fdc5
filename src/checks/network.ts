import type { Site } from "../cloud/app-service/sites.ts";
import { isTemporaryRule } from "../cloud/firewall-access.ts";
import { hints } from "../cloud/hints.ts";
import type { FirewallRule } from "../cloud/server-children.ts";
import { mayClose } from "../steps/adoption.ts";
import { describeRule, exposureOf, needsSites, removalCommand, shutOut, wantedRules } from "../steps/firewall.ts";
import { type Check, fix } from "./check.ts";
import type { ProjectFacts } from "./facts.ts";
import type { FactsOf } from "./shared-facts.ts";

/** The server parameter that refuses clear text. */
export const tlsParameter = "require_secure_transport";

/** The rules that stand let in no more than the project file asks for. Also asked of the rules that a plan leaves. */
export const firewallIsNarrow: Check<FactsOf<"rules" | "server">> = {
  code: "network/firewall-narrow",
  name: "firewall is narrow",
  meaning: "anybody there may try to sign in",
  repair: "remove that rule",
  proof: true,
  look: async ({ rules, server, context: { setup } }) => {
    const found = await rules();
    const exposure = exposureOf(found, setup.server.firewall);
    if (!exposure) return { ok: true, detail: found.map(describeRule).join(", ") || "no rule" };
    const at = await server();
    const foreign = exposure.rules.filter((rule) => !mayClose(setup, at, rule));
    const hint = foreign.length === 0 ? fix : `run ${foreign.map((rule) => removalCommand(setup, rule)).join(", ")}`;
    return { ok: false, detail: `the server is ${exposure.words}`, hint };
  },
};

type LetInFacts = FactsOf<"rules"> & { readonly sites: readonly { site(): Promise<Pick<Site, "name" | "possibleOutboundAddresses">> }[] };

/** Each rule that the policy wants stands. A site whose addresses Azure does not name is not known to be let in. */
export const firewallLetsAppsIn: Check<LetInFacts> = {
  code: "network/firewall-open-to-apps",
  name: "firewall lets the apps in",
  meaning: "the apps get `no pg_hba.conf entry`",
  repair: fix,
  proof: true,
  look: async ({ rules, sites, context: { setup } }) => {
    const { firewall: policy } = setup.server;
    const found = await rules();
    const apps = needsSites(policy) ? await Promise.all(sites.map(({ site }) => site())) : [];
    const unknown = apps.filter(({ possibleOutboundAddresses }) => possibleOutboundAddresses.length === 0).map(({ name }) => name);
    if (unknown.length > 0) return { ok: false, detail: `Azure names no outbound address of ${unknown.join(", ")}` };
    const wanted = wantedRules(policy, apps, setup.owner);
    const shut = shutOut(wanted, found);
    if (shut.length > 0) return { ok: false, detail: `shut out: ${shut.slice(0, 5).map(describeRule).join(", ")}` };
    return { ok: true, detail: wanted.map(describeRule).join(", ") };
  },
};

/** The way to the server, and whom it lets in. */
export const networkChecks: readonly Check<ProjectFacts>[] = [
  {
    code: "network/name",
    name: "server name resolves",
    meaning: "neither this machine nor the app can find the server",
    repair: hints.nameResolution,
    look: async ({ connectivity, server }) => {
      const { addresses, failure } = await connectivity();
      return { ok: addresses.length > 0, detail: addresses.join(", ") || `${(await server()).host}: ${failure}` };
    },
  },
  {
    code: "network/port",
    name: "server port answers",
    meaning: "something between this machine and the server blocks PostgreSQL's port",
    repair: hints.databasePort,
    look: async ({ connectivity, server }) => {
      const { addresses, isPortOpen, failure } = await connectivity();
      if (addresses.length === 0) return undefined;
      const { host, port } = await server();
      return { ok: isPortOpen, detail: isPortOpen ? `${host}:${port}` : `${host}:${port}: ${failure}` };
    },
  },
  {
    code: "network/certificate",
    name: "server certificate is trusted",
    meaning: "something may be reading along, or the trusted roots are too old: connections are refused",
    repair: hints.databaseTrust,
    look: async ({ connectivity }) => {
      const { isPortOpen, tls, failure } = await connectivity();
      return isPortOpen ? { ok: tls !== undefined, detail: tls ?? failure ?? "" } : undefined;
    },
  },
  {
    code: "network/tls-required",
    name: "TLS is required",
    meaning: "clients may connect in clear text and show their tokens to the network",
    repair: fix,
    look: async ({ parameter }) => {
      const { value } = await parameter(tlsParameter);
      return { ok: value.toLowerCase() === "on", detail: `${tlsParameter} ${value}` };
    },
  },
  firewallLetsAppsIn,
  firewallIsNarrow,
  {
    code: "network/no-leftover",
    name: "no firewall opening is left",
    meaning: "a run of this tool (or of `az webapp connection`: svc_…) was killed and left an address open",
    repair: fix,
    proof: true,
    look: async ({ rules, context: { setup, firewallAccess } }) => {
      const found = await rules();
      const leftovers = firewallAccess.leftoversAmong(found);
      const foreign = found.filter(({ name }) => name.startsWith("svc_"));
      const left = [...found.filter(({ name }) => leftovers.includes(name)), ...foreign];
      const inUse = found.filter(
        (rule) => isTemporaryRule(rule) && !leftovers.includes(rule.name) && !firewallAccess.temporaryRules.has(rule.name),
      );
      if (left.length === 0)
        return { ok: true, detail: inUse.length === 0 ? "none" : `none; another run works through ${describe(inUse)}` };
      const hint = foreign.length > 0 && `run ${foreign.map((rule) => removalCommand(setup, rule)).join(", ")}`;
      return { ok: false, detail: `left open by an earlier run: ${describe(left)}`, ...(hint && { hint }) };
    },
  },
];

function describe(rules: readonly FirewallRule[]): string {
  return rules.map(({ name, start }) => `${name} (${start})`).join(", ");
}
