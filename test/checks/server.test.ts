import { expect } from "vitest";
import type { TestEmulator } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { examine, expectAmongWrong, expectWrong, type Spoilt, shopApi, shopFile, testBatches } from "../support/spoilt.ts";

const test = projectTest(shopFile);

const postgresAudience = "https://ossrdbms-aad.database.windows.net";

/** Object ID of a seeded user. */
const aUser = ({ platform }: TestEmulator): string => platform.directory.list().find(({ type }) => type === "User")?.objectId ?? "";

/** Password authentication as the portal turns it on. */
const withPasswords = { authConfig: { passwordAuth: "Enabled" }, administratorLogin: "boss", administratorLoginPassword: "Tr0ub4dor&3" };

const setTenant = (tenant: string, patchServer: Spoilt["patchServer"]) =>
  patchServer({ authConfig: { tenantId: tenant } }, ({ tenantId }) => tenantId === tenant);

testBatches(test, [
  {
    what: "service connection removed, firewall shut, openings left behind",
    spoil: async ({ project: { cloud, setup }, group, server }) => {
      await cloud.linkers.delete((await cloud.sites.at({ group, app: shopApi }).get())?.id ?? "", setup.sites[0]?.linker ?? "");
      await cloud.postgresServers.deleteFirewallRule(group, server, "azure-services");
      const rule = (name: string, start: string, end: string) => cloud.postgresServers.putFirewallRule(group, server, { name, start, end });
      await rule("passwordless-pg-00000000-1", "203.0.113.7", "203.0.113.7");
      await rule("everybody", "1.0.0.0", "255.255.255.255");
    },
    found: [
      "api: service connection exists",
      "api: settings AZURE_POSTGRESQL_* are current",
      "firewall is narrow",
      "firewall lets the apps in",
      "no firewall opening is left",
    ],
    byHand: ["firewall is narrow"],
    mend: ({ project: { cloud }, group, server }) => cloud.postgresServers.deleteFirewallRule(group, server, "everybody"),
  },
  {
    what: "settings that new sessions of the database start with",
    spoil: ({ sql }) => sql("ALTER DATABASE shop SET search_path = nowhere", "ALTER DATABASE shop SET default_transaction_read_only = on"),
    found: ["database starts with no misleading setting"],
    byHand: ["database starts with no misleading setting"],
    mend: ({ sql }) => sql("SET default_transaction_read_only = off", "ALTER DATABASE shop RESET ALL"),
  },
  {
    what: "server in clear text and with passwords",
    spoil: async ({ patchServer, server, project: { cloud }, group }) => {
      await patchServer(withPasswords, ({ passwordAuth }) => passwordAuth);
      await cloud.postgresServers.setParameter(group, server, "require_secure_transport", "off");
    },
    found: ["TLS is required", "password authentication is off"],
  },
  {
    what: "server stopped",
    spoil: ({ project: { cloud }, group, server }) => cloud.postgresServers.stop(group, server),
    found: ["server is ready"],
  },
  {
    what: "database gone",
    spoil: ({ project: { cloud }, group, server }) => cloud.postgresServers.deleteDatabase(group, server, "shop"),
    found: ["database exists"],
  },
  {
    what: "plan of another tier, server of another size",
    spoil: async ({ project: { cloud }, group, server }) => {
      await cloud.sites.at({ group, app: shopApi }).updateConfig({ alwaysOn: false });
      await cloud.plans.scale(group, `${shopApi}-plan`, { sku: "F1" });
      await cloud.postgresServers.update(group, server, { sku: "Standard_D2ds_v5" });
    },
    found: ["api: plan keeps the app awake", "server is as the project file says"],
    byHand: ["api: plan keeps the app awake", "server is as the project file says"],
    mend: ({ project }) => project.init(),
  },
  {
    what: "server of another size that takes passwords",
    spoil: async ({ patchServer, server, project: { cloud }, group }) => {
      await cloud.postgresServers.update(group, server, { sku: "Standard_D2ds_v5" });
      await patchServer(withPasswords, ({ passwordAuth }) => passwordAuth);
    },
    found: ["password authentication is off", "server is as the project file says"],
    byHand: ["server is as the project file says"],
    mend: ({ project }) => project.init(),
  },
  {
    what: "Entra authentication off",
    spoil: ({ patchServer }) =>
      patchServer(
        { ...withPasswords, authConfig: { passwordAuth: "Enabled", activeDirectoryAuth: "Disabled" } },
        ({ entraAuth }) => !entraAuth,
      ),
    found: ["Entra authentication is on", "caller signs in to PostgreSQL", "password authentication is off"],
  },
  {
    what: "public access closed",
    spoil: ({ patchServer }) =>
      patchServer({ network: { publicNetworkAccess: "Disabled" } }, ({ publicNetworkAccess }) => !publicNetworkAccess),
    found: ["server is reachable over public access"],
    byHand: ["server is reachable over public access"],
    mend: ({ patchServer }) =>
      patchServer({ network: { publicNetworkAccess: "Enabled" } }, ({ publicNetworkAccess }) => publicNetworkAccess),
  },
  {
    what: "tokens of another tenant",
    spoil: ({ patchServer }) => setTenant("99999999-9999-4999-8999-999999999999", patchServer),
    found: ["caller signs in to PostgreSQL", "server trusts the tenant of the caller"],
    byHand: ["caller signs in to PostgreSQL", "server trusts the tenant of the caller"],
    mend: ({ patchServer, project: { cloud } }) => setTenant(cloud.caller.tenantId, patchServer),
  },
]);

test.for([
  ["audience", "audience https://management.azure.com", (one: TestEmulator) => one.tokenFor(one.clientId, "https://management.azure.com")],
  ["tenant", "tenant 1111", (one: TestEmulator) => one.tokenFor(one.clientId, postgresAudience, { flaw: "tenant" })],
  ["time", "expired", (one: TestEmulator) => one.tokenFor(one.clientId, postgresAudience, { flaw: "expired" })],
  ["person", "object ID", (one: TestEmulator) => one.tokenFor(aUser(one), postgresAudience)],
] as const)("a database token of another %s", async ([, words, token], { emulator, project: _ }) => {
  const credential = {
    getToken: async (scopes: string | string[]) =>
      String(scopes).includes("ossrdbms")
        ? { token: await token(emulator), expiresOnTimestamp: Date.now() + 3_000_000 }
        : emulator.credential.getToken(scopes),
  };
  const checks = await examine(await openTestProject(emulator, shopFile, { credential }));
  expectWrong(checks, ["caller signs in to PostgreSQL", "database token fits"]);
  expect(checks.find(({ name }) => name === "database token fits")?.detail).toContain(words);
});

test("a caller who is nobody's administrator", async ({ emulator, project: _ }) => {
  const stranger = await openTestProject(emulator, shopFile, { caller: aUser(emulator) });
  expectAmongWrong(await examine(stranger), ["caller is an administrator of the server", "caller signs in to PostgreSQL"]);
});
