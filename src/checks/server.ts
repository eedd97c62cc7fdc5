import { readClaims } from "../base/jwt.ts";
import { hinders } from "../cloud/database/principals.ts";
import { quoteIdentifier } from "../cloud/database/sql.ts";
import { isTemporaryRule } from "../cloud/firewall-access.ts";
import { hints } from "../cloud/hints.ts";
import { describeOrphans, findOrphans, orphansName } from "../removal/orphans.ts";
import { mayClose } from "../steps/adoption.ts";
import { covers, exposureOf, removalCommand } from "../steps/firewall.ts";
import { serverName, takenBy } from "../steps/taken-names.ts";
import type { Condition, DoctorContext, MoreFacts } from "./facts.ts";

const fix = "run `passwordless-pg doctor --fix`";
const init = "run `passwordless-pg init`";
export const providers = ["Microsoft.DBforPostgreSQL", "Microsoft.Web", "Microsoft.ServiceLinker"] as const;
export const tlsParameter = "require_secure_transport";
export const isRegistered = (state: string): boolean => state === "Registered" || state === "Registering";
const clockToleranceMs = 120_000;
/** Kept by Azure of every `max_connections` (documentation, "Limits in Azure Database for PostgreSQL"). */
const reservedConnections = 15;
/** Connections of one process in this tool's templates; `DB_POOL_SIZE` of the app says otherwise. */
const usualPoolSize = 5;

/** Subscription, server, network, firewall, sign-in, database: what all apps share. */
export function serverConditions(context: DoctorContext, facts: MoreFacts): Condition[] {
  return [
    ...subscriptionConditions(context, facts),
    ...serverItself(context, facts),
    ...networkConditions(context, facts),
    ...signInConditions(context, facts),
    ...databaseConditions(context, facts),
  ];
}

function subscriptionConditions({ setup, cloud }: DoctorContext, facts: MoreFacts): Condition[] {
  const isServerThere = async (): Promise<boolean> =>
    (await cloud.postgresServers.get(setup.resourceGroup, setup.server.name)) !== undefined;
  return [
    {
      name: "subscription is enabled",
      meaning: "Azure refuses every change in a subscription that is disabled",
      hint: hints.subscriptionState,
      isRoot: true,
      look: async () => {
        const { state } = await facts.subscription();
        return { ok: state === "Enabled" || state === "Warned", detail: `${cloud.subscriptionId} is ${state}` };
      },
    },
    {
      name: "clock agrees with Azure",
      meaning: "tokens look expired or not valid yet, and logins are refused",
      hint: "set this machine's clock (NTP)",
      isRoot: true,
      look: async () => {
        const { clockAheadMs } = await facts.subscription();
        if (clockAheadMs === undefined) return undefined;
        const seconds = Math.round(clockAheadMs / 1000);
        return { ok: Math.abs(clockAheadMs) <= clockToleranceMs, detail: `${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead"}` };
      },
    },
    ...providers.map(
      (namespace): Condition => ({
        name: `resource provider ${namespace} is registered`,
        meaning: "Azure answers MissingSubscriptionRegistration to what this tool creates",
        hint: `${fix}, or \`az provider register --namespace ${namespace} --wait\``,
        isRoot: true,
        look: async () => {
          const state = await cloud.subscription.registrationOf(namespace);
          return { ok: isRegistered(state), detail: state };
        },
      }),
    ),
    {
      name: "resource group exists",
      meaning: "nothing of this project can be there",
      hint: init,
      isRoot: true,
      look: async () => {
        const group = await cloud.resourceGroups.get(setup.resourceGroup);
        return { ok: group !== undefined, detail: group ? `${group.name} in ${group.location}` : `${setup.resourceGroup} is absent` };
      },
    },
    {
      name: "region offers the server",
      meaning: "the server of the project file cannot be created in this region",
      hint: hints.regionOrSku,
      look: async () => {
        if (await isServerThere()) return undefined;
        const offer = await cloud.subscription.offerOf(setup.location);
        const { sku, version } = setup.server;
        const lacks = [
          offer.isClosed && `${setup.location} is closed to this subscription${offer.reason ? `: ${offer.reason}` : ""}`,
          offer.skus.length > 0 && !offer.skus.some((name) => name.toLowerCase() === sku.toLowerCase()) && `${sku} is not offered`,
          offer.versions.length > 0 && !offer.versions.includes(version) && `version ${version} is not offered`,
        ].filter((words) => words !== false);
        return { ok: lacks.length === 0, detail: lacks.join(", ") || `${sku}, version ${version} in ${setup.location}` };
      },
    },
    {
      name: "server name is free",
      meaning: "the server cannot be created: names of servers are shared by all of Azure",
      hint: 'choose another "server.name" in the project file',
      look: async () => {
        if (await isServerThere()) return undefined;
        const taken = await takenBy({ setup, cloud }, serverName({ setup, cloud }));
        return taken ? { ok: false, detail: taken.detail, hint: taken.hint } : { ok: true, detail: setup.server.name };
      },
    },
    {
      name: orphansName,
      meaning: "a web app that was renamed or taken out of the project file goes on running, costs, and may sign in to the database",
      hint: "remove it, its App Service plan and its database role",
      look: async () => {
        const strays = findOrphans(await facts.sites(), setup);
        return strays.length === 0 ? { ok: true, detail: "none" } : { ok: false, ...describeOrphans(strays, setup) };
      },
    },
    {
      name: "quota leaves room for the server",
      meaning: "Azure will refuse to create the server",
      hint: hints.quotas,
      look: async () => {
        if (await isServerThere()) return undefined;
        const usedUp = await cloud.subscription.usedUpQuota(setup.location);
        return { ok: usedUp.length === 0, detail: usedUp.join(", ") || `room in ${setup.location}` };
      },
    },
  ];
}

function serverItself({ setup, cloud }: DoctorContext, facts: MoreFacts): Condition[] {
  const onServer = (
    name: string,
    meaning: string,
    hint: string,
    look: (server: Awaited<ReturnType<MoreFacts["server"]>>) => readonly [boolean, string],
  ): Condition => ({
    name,
    meaning,
    hint,
    look: async () => {
      const [ok, detail] = look(await facts.server());
      return { ok, detail };
    },
  });
  return [
    {
      ...onServer("server exists", "there is no database for the apps", init, ({ host }) => [true, host]),
      isRoot: true,
    },
    onServer(
      "server is ready",
      "nobody can sign in while it is not",
      "run `passwordless-pg server start` (or wait when it says Updating)",
      ({ state }) => [state === "Ready", state],
    ),
    onServer(
      "server is reachable over public access",
      "the apps and this machine cannot reach it; servers in a virtual network are not supported yet",
      `run \`az postgres flexible-server update -g ${setup.resourceGroup} -n ${setup.server.name} --public-access Enabled\``,
      ({ publicNetworkAccess }) => [publicNetworkAccess, publicNetworkAccess ? "Enabled" : "Disabled"],
    ),
    onServer("Entra authentication is on", "every token is refused", fix, ({ entraAuth }) => [
      entraAuth,
      entraAuth ? "Enabled" : "Disabled",
    ]),
    onServer("password authentication is off", "a leaked password of any role lets anybody in", fix, ({ passwordAuth }) => [
      !passwordAuth,
      passwordAuth ? "Enabled" : "Disabled",
    ]),
    onServer(
      "server trusts the tenant of the caller",
      "the server refuses tokens of another tenant",
      "sign in to the server's tenant: `az login --tenant TENANT`",
      ({ tenantId }) => [
        tenantId === undefined || tenantId.toLowerCase() === cloud.caller.tenantId.toLowerCase(),
        `server ${tenantId ?? "(none)"}, caller ${cloud.caller.tenantId}`,
      ],
    ),
    onServer(
      "server is as the project file says",
      "init is blocked, or would change its size",
      "set these values in the project file, or another server name; `passwordless-pg init` changes SKU and storage after asking",
      (server) => {
        const wanted = setup.server;
        const differences = [
          server.location !== setup.location && `location ${server.location}, file ${setup.location}`,
          server.version !== wanted.version && `version ${server.version}, file ${wanted.version}`,
          server.sku.toLowerCase() !== wanted.sku.toLowerCase() && `SKU ${server.sku}, file ${wanted.sku}`,
          server.storageGb !== wanted.storageGb && `storage ${server.storageGb} GB, file ${wanted.storageGb} GB`,
        ].filter((words) => words !== false);
        const open = wanted.unspecified;
        const asked = differences.filter(
          (words) => !open.some((field) => words.toLowerCase().startsWith(field.replace("Gb", "").toLowerCase())),
        );
        return [
          asked.length === 0,
          asked.join("; ") || `${server.sku}, version ${server.version}, ${server.storageGb} GB in ${server.location}`,
        ];
      },
    ),
  ];
}

function networkConditions({ setup, firewallAccess }: DoctorContext, facts: MoreFacts): Condition[] {
  return [
    {
      name: "server name resolves",
      meaning: "neither this machine nor the app can find the server",
      hint: hints.nameResolution,
      look: async () => {
        const { addresses, failure } = await facts.reach();
        return { ok: addresses.length > 0, detail: addresses.join(", ") || `${(await facts.server()).host}: ${failure}` };
      },
    },
    {
      name: "server port answers",
      meaning: "something between this machine and the server blocks PostgreSQL's port",
      hint: hints.databasePort,
      look: async () => {
        const { addresses, isPortOpen, failure } = await facts.reach();
        if (addresses.length === 0) return undefined;
        const { host, port } = await facts.server();
        return { ok: isPortOpen, detail: isPortOpen ? `${host}:${port}` : `${host}:${port}: ${failure}` };
      },
    },
    {
      name: "server certificate is trusted",
      meaning: "something may be reading along, or the trusted roots are too old: connections are refused",
      hint: hints.databaseTrust,
      look: async () => {
        const { isPortOpen, tls, failure } = await facts.reach();
        return isPortOpen ? { ok: tls !== undefined, detail: tls ?? failure ?? "" } : undefined;
      },
    },
    {
      name: "TLS is required",
      meaning: "clients may connect in clear text and show their tokens to the network",
      hint: fix,
      look: async () => {
        const { value } = await facts.parameter(tlsParameter);
        return { ok: value.toLowerCase() === "on", detail: `${tlsParameter} ${value}` };
      },
    },
    {
      name: "firewall lets the apps in",
      meaning: "the apps get `no pg_hba.conf entry`",
      hint: fix,
      look: async () => {
        const rules = await facts.rules();
        if (setup.server.firewall === "azure-services") {
          const ok = rules.some(({ start, end }) => start === "0.0.0.0" && end === "0.0.0.0");
          return { ok, detail: ok ? "rule for Azure's own traffic" : `no rule 0.0.0.0 among ${rules.length}` };
        }
        const sites = await Promise.all(setup.sites.map((app) => facts.site(app.address.app)));
        const shut = sites
          .flatMap((site) => site.possibleOutboundAddresses)
          .filter((address) => !rules.some((rule) => covers(rule, address)));
        return { ok: shut.length === 0, detail: shut.length === 0 ? "every outbound address" : `shut out: ${shut.slice(0, 5).join(", ")}` };
      },
    },
    {
      name: "firewall is narrow",
      meaning: "anybody there may try to sign in",
      hint: "remove that rule",
      look: async () => {
        const exposure = exposureOf(await facts.rules(), setup.server.firewall);
        if (!exposure) return { ok: true, detail: "no wide rule" };
        const at = await facts.server();
        const foreign = exposure.rules.filter((rule) => !mayClose(setup, at, rule));
        const hint = foreign.length === 0 ? fix : `run ${foreign.map((rule) => removalCommand(setup, rule)).join(", ")}`;
        return { ok: false, detail: exposure.words, hint };
      },
    },
    {
      name: "no firewall opening is left",
      meaning: "a run of this tool (or of `az webapp connection`: svc_…) was killed and left an address open",
      hint: fix,
      look: async () => {
        const rules = await facts.rules();
        const leftovers = new Set(firewallAccess.leftoversAmong(rules));
        const foreign = rules.filter(({ name }) => name.startsWith("svc_"));
        const left = [...rules.filter(({ name }) => leftovers.has(name)), ...foreign];
        const inUse = rules.filter(
          (rule) => isTemporaryRule(rule) && !leftovers.has(rule.name) && !firewallAccess.temporaryRules.has(rule.name),
        );
        const words = (found: typeof rules): string => found.map(({ name, start }) => `${name} (${start})`).join(", ");
        return {
          ok: left.length === 0,
          detail: words(left) || (inUse.length === 0 ? "none" : `none; another run works through ${words(inUse)}`),
          ...(foreign.length > 0 ? { hint: `run ${foreign.map((rule) => removalCommand(setup, rule)).join(", ")}` } : {}),
        };
      },
    },
  ];
}

function signInConditions({ cloud, clock, setup }: DoctorContext, facts: MoreFacts): Condition[] {
  return [
    {
      name: "caller is an administrator of the server",
      meaning: "roles and grants cannot be looked at or made",
      hint: "run `passwordless-pg server create`, or sign in as one of the administrators",
      look: async () => {
        if ((await facts.server()).state !== "Ready") return undefined;
        const found = await facts.administrator();
        const names = (await facts.administrators()).map(({ name }) => name).join(", ") || "nobody";
        return {
          ok: found !== undefined,
          detail: found ? `${found.name} (${found.type})` : `${cloud.caller.name} is not; administrators: ${names}`,
        };
      },
    },
    {
      name: "database token fits",
      meaning: "the server refuses a token of another audience, tenant or person",
      hint: hints.signInAnew,
      isRoot: true,
      look: async () => {
        const { token } = await cloud.databaseToken();
        const { aud = "", oid = "", tid = "", exp = 0 } = readClaims(token) ?? {};
        const audience = cloud.environment.scopes.postgres.replace(/\/\.default$/, "");
        const wrong = [
          aud.replace(/\/$/, "") !== audience && `audience ${aud}`,
          oid !== cloud.caller.objectId && `object ID ${oid}, caller ${cloud.caller.objectId}`,
          tid !== cloud.caller.tenantId && `tenant ${tid}`,
          exp * 1000 < clock.now() && "expired by this machine's clock",
        ].filter((words) => words !== false);
        return { ok: wrong.length === 0, detail: wrong.join(", ") || `for ${audience}, object ID ${oid}` };
      },
    },
    {
      name: "caller signs in to PostgreSQL",
      meaning: "roles and grants cannot be looked at or made",
      hint: "see the cause",
      isRoot: true,
      look: async () => {
        const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
        if (server?.state !== "Ready" || !server.publicNetworkAccess || (await facts.administrators()).length === 0) return undefined;
        await facts.roles();
        return { ok: true, detail: `as ${await facts.login()} over verified TLS` };
      },
    },
  ];
}

function databaseConditions({ setup }: DoctorContext, facts: MoreFacts): Condition[] {
  return [
    {
      name: "database exists",
      meaning: "the apps get `database does not exist`",
      hint: fix,
      isRoot: true,
      look: async () => {
        if (!(await facts.server().catch(() => undefined))) return undefined;
        const { name, charset } = await facts.database();
        return { ok: true, detail: `${name} (${charset})` };
      },
    },
    {
      name: "only roles with the right create in schema public",
      meaning: "every role of the server can put tables and functions in the apps' way (PostgreSQL 14 and older allow it by default)",
      hint: "run `passwordless-pg connect` and then: REVOKE CREATE ON SCHEMA public FROM PUBLIC",
      look: async () => {
        const role = setup.sites[0]?.role ?? "";
        const { isSchemaCreatePublic } = await facts.access(role);
        return { ok: !isSchemaCreatePublic, detail: isSchemaCreatePublic ? "PUBLIC has CREATE on schema public" : "PUBLIC has no CREATE" };
      },
    },
    {
      name: "database starts with no misleading setting",
      meaning: "the apps find other tables by their unqualified names, may not write, or work as another role",
      hint: "see the evidence",
      look: async () => {
        const access = await Promise.all(setup.sites.map(async (app) => ({ app, ...(await facts.access(app.role)) })));
        const found = access.flatMap(({ app, misleadingSettings }) =>
          misleadingSettings.filter((setting) => setting.scope === "database" && hinders(setting, app.access)),
        );
        const names = [...new Set(found.map(({ name }) => name))];
        const reset = names.map((name) => `ALTER DATABASE ${quoteIdentifier(setup.database)} RESET ${name}`).join("; ");
        return {
          ok: found.length === 0,
          detail: [...new Set(found.map(({ name, value }) => `${name} = ${value}`))].join(", ") || "none",
          // A session of the administrator starts with it too.
          hint: `run \`passwordless-pg connect\` and then: SET default_transaction_read_only = off; ${reset}`,
        };
      },
    },
    {
      name: "connections suffice for the apps",
      meaning: "under load the apps get `sorry, too many clients already` (53300)",
      hint: "make the pools smaller (DB_POOL_SIZE, WEB_CONCURRENCY), have fewer instances, or take a larger server",
      look: async () => {
        const [{ value }, needed] = await Promise.all([
          facts.parameter("max_connections"),
          connectionsOf(
            setup.sites.map(({ address: { app: name } }) => name),
            facts,
          ),
        ]);
        const usable = Number(value) - reservedConnections;
        const sum = needed.reduce((total, { connections }) => total + connections, 0);
        return {
          ok: sum <= usable,
          detail: `${needed.map(({ words }) => words).join(", ")}: ${sum} of ${usable} usable (max_connections ${value})`,
        };
      },
    },
  ];
}

/** What the apps may open at most, by their settings and instances. */
async function connectionsOf(names: readonly string[], facts: MoreFacts): Promise<{ connections: number; words: string }[]> {
  return Promise.all(
    names.map(async (name) => {
      const [settings, plan] = await Promise.all([facts.settings(name), facts.plan(name)]);
      const number = (setting: string, preset: number): number => {
        const value = Number(settings[setting]);
        return Number.isInteger(value) && value > 0 ? value : preset;
      };
      const [pool, processes, instances] = [
        number("DB_POOL_SIZE", usualPoolSize),
        number("WEB_CONCURRENCY", 1),
        Math.max(1, plan.capacity),
      ];
      return { connections: pool * processes * instances, words: `${name} ${pool} × ${processes} processes × ${instances} instances` };
    }),
  );
}
