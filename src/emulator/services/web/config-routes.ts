import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, json } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { refusals } from "./errors.ts";
import type { ConnectionString, LogsConfig, Site } from "./model.ts";
import { publishingPassword } from "./publishing-password.ts";
import { type ConfigBody, configShape } from "./site-body.ts";
import { changedLogs, configChange, textsOf } from "./site-changes.ts";
import { onSite, type SiteOperation } from "./site-operations.ts";
import type { Sites } from "./sites.ts";
import { childToWire } from "./wire.ts";

const connectionStringsShape: BodyShape = { "properties.*": "object", "properties.*.value": "text", "properties.*.type": "text" };
const logsShape: BodyShape = {
  "properties.*": "object",
  "properties.httpLogs.fileSystem": "object",
  "properties.httpLogs.fileSystem.enabled": "flag",
  "properties.httpLogs.fileSystem.retentionInDays": "number",
  "properties.httpLogs.fileSystem.retentionInMb": "number",
};

/** The documents below `config`, and who may publish with a password: learn.microsoft.com/rest/api/appservice/web-apps. */
export function configOperations(platform: Platform, sites: Sites): readonly SiteOperation[] {
  return [...webConfigOperations(sites), ...settingsOperations(sites), ...logsOperations(sites), ...publishingPolicies(platform, sites)];
}

function webConfigOperations(sites: Sites): readonly SiteOperation[] {
  const toWire = (site: Site): object =>
    childToWire(site, "config/web", "config", { ...site.config, logsDirectorySizeLimit: site.logs.httpLogs.fileSystem.retentionInMb });
  const write = (site: Site, request: EmulatorRequest): Response => {
    const change = configChange(site, propertiesOf<ConfigBody>(request), sites.plans.get(site.planId));
    return json(200, toWire(sites.update(site.id, change, true)));
  };
  return [
    onSite("GET", "/config", "specification", (site) => json(200, { value: [toWire(site)], nextLink: null })),
    onSite("GET", "/config/web", "specification", (site) => json(200, toWire(site))),
    onSite("PUT", "/config/web", "specification", configShape, write),
    onSite("PATCH", "/config/web", "specification", configShape, write),
  ];
}

function settingsOperations(sites: Sites): readonly SiteOperation[] {
  const settings = (site: Site): object => childToWire(site, "config/appsettings", "config", site.appSettings);
  const connections = (site: Site): object => childToWire(site, "config/connectionstrings", "config", site.connectionStrings);
  const names = (site: Site): object => childToWire(site, "config/slotConfigNames", "config", site.slotConfigNames);
  return [
    onSite("POST", "/config/appsettings/list", "specification", "none", (site) => json(200, settings(site))),
    onSite("PUT", "/config/appsettings", "specification", { "properties.*": "scalar" }, (site, request) => {
      const appSettings = textsOf(propertiesOf<Record<string, unknown>>(request));
      return json(200, settings(sites.update(site.id, { appSettings }, true)));
    }),
    onSite("POST", "/config/connectionstrings/list", "specification", "none", (site) => json(200, connections(site))),
    onSite("PUT", "/config/connectionstrings", "specification", connectionStringsShape, (site, request) => {
      const wanted = Object.entries(propertiesOf<Record<string, ConnectionString | null>>(request));
      const connectionStrings = Object.fromEntries(wanted.flatMap(([name, given]) => (given ? [[name, given]] : [])));
      return json(200, connections(sites.update(site.id, { connectionStrings }, true)));
    }),
    onSite("GET", "/config/slotConfigNames", "specification", (site) => json(200, names(site))),
    onSite("PUT", "/config/slotConfigNames", "specification", { "properties.*": "list", "properties.*.*": "text" }, (site, request) => {
      const slotConfigNames = { ...site.slotConfigNames, ...propertiesOf<Record<string, unknown>>(request) };
      return json(200, names(sites.update(site.id, { slotConfigNames }, false)));
    }),
    onSite("POST", "/config/metadata/list", "specification", "none", (site) =>
      json(200, childToWire(site, "config/metadata", "config", {})),
    ),
  ];
}

function logsOperations(sites: Sites): readonly SiteOperation[] {
  const toWire = (site: Site): object => childToWire(site, "config/logs", "config", site.logs);
  return [
    onSite("GET", "/config/logs", "specification", (site) => json(200, toWire(site))),
    onSite("PUT", "/config/logs", "specification", logsShape, (site, request) => {
      const logs = changedLogs(site.logs, propertiesOf<LogsConfig>(request));
      return json(200, toWire(sites.update(site.id, { logs }, false)));
    }),
  ];
}

function publishingPolicies(platform: Platform, sites: Sites): readonly SiteOperation[] {
  const policy = (site: Site, kind: "scm" | "ftp"): object =>
    childToWire(site, `basicPublishingCredentialsPolicies/${kind}`, "basicPublishingCredentialsPolicies", {
      allow: site.basicPublishing[kind],
    });
  return [
    onSite("POST", "/config/publishingcredentials/list", "specification", "none", (site) => json(200, credentials(platform, site))),
    onSite("GET", "/basicPublishingCredentialsPolicies", "specification", (site) =>
      json(200, { value: [policy(site, "ftp"), policy(site, "scm")], nextLink: null, id: null }),
    ),
    ...(["scm", "ftp"] as const).flatMap((kind) => [
      onSite("GET", `/basicPublishingCredentialsPolicies/${kind}`, "recorded", (site) => json(200, policy(site, kind))),
      onSite("PUT", `/basicPublishingCredentialsPolicies/${kind}`, "specification", {}, (site, request) => {
        const { allow } = propertiesOf<{ allow: unknown }>(request);
        if (typeof allow !== "boolean") throw refusals.invalid("allow");
        const basicPublishing = { ...site.basicPublishing, [kind]: allow };
        return json(200, policy(sites.update(site.id, { basicPublishing }, false), kind));
      }),
    ]),
  ];
}

function credentials(platform: Platform, site: Site): object {
  const password = publishingPassword(platform, site);
  return childToWire(site, "publishingcredentials/$", "publishingcredentials", {
    name: null,
    publishingUserName: `$${site.name}`,
    publishingPassword: password,
    publishingPasswordHash: null,
    publishingPasswordHashSalt: null,
    scmUri: `https://$${site.name}:${password}@localhost:${site.ports.scm}`,
  });
}
