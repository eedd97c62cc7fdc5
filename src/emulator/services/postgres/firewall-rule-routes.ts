import type { BodyShape } from "../../http/body-shape.ts";
import { type EmulatorRequest, json } from "../../http/router.ts";
import { type FlexibleServer, newFirewallRule } from "./model.ts";
import { onServer, type PostgresDependencies, type ServerOperation } from "./server-operations.ts";
import { childNotFound, requireIdle } from "./servers.ts";
import { firewallRuleToWire } from "./wire.ts";

/** The members that local Azure reads (azure-rest-api-specs, specification/postgresql). */
const firewallRuleBody: BodyShape = { "properties.startIpAddress": "text", "properties.endIpAddress": "text" };

/** Firewall rules: learn.microsoft.com/rest/api/postgresql/firewall-rules. */
export function firewallRuleOperations({ platform, tables, writes }: PostgresDependencies): readonly ServerOperation[] {
  const ITEM = "/firewallRules/{rule}";
  const idOf = (server: FlexibleServer, { params }: EmulatorRequest): string => `${server.id}/firewallRules/${params.rule}`;
  return [
    onServer("GET", "/firewallRules", "recorded", ({ id }) => json(200, { value: tables.rules.list(`${id}/`).map(firewallRuleToWire) })),
    onServer("GET", ITEM, "recorded", (server, request) => {
      const found = tables.rules.get(idOf(server, request));
      if (!found) throw childNotFound("firewallRules", request.params.rule ?? "");
      return json(200, firewallRuleToWire(found));
    }),
    onServer("PUT", ITEM, "recorded", firewallRuleBody, (server, request) => {
      const rule = newFirewallRule(idOf(server, request), request.params.rule ?? "", (request.body ?? {}) as object);
      requireIdle(platform, server);
      return writes.accept("firewall-put", server, rule.id, { rule }, request.apiVersion);
    }),
    onServer("DELETE", ITEM, "recorded", (server, request) => {
      // Before the search: a rule that is still being made must not count as absent (inferred: one operation at a time on a server).
      requireIdle(platform, server);
      const rule = tables.rules.get(idOf(server, request));
      if (!rule) return new Response(null, { status: 204 });
      return writes.accept("firewall-delete", server, rule.id, { ruleId: rule.id }, request.apiVersion);
    }),
  ];
}
