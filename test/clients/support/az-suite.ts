import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect } from "vitest";
import { cliTest as test } from "../../support/cli.ts";
import { type Az, hasPostgresClients, signInAz } from "./az.ts";
import { finish } from "./local-azure.ts";
import { writeObserved } from "./observed.ts";

const GROUP = "AppServiceRG";
const SITE = "fastapi-backend-x";
const SERVER = "fastapi-db-x";

// biome-ignore lint/suspicious/noExplicitAny: what az prints has every shape
type Json = any;

/** The recipe and all around it, as `az` of one version runs it against a fresh local Azure. One test a command, in order. */
export function azSuite(wanted: string): void {
  let az: Az;
  const held: { objectId: string; host: string; token: string } = { objectId: "", host: "", token: "" };

  /** A command that must end with 0; `check` looks at what it printed. */
  const ok = (name: string, line: () => string, check: (printed: Json) => void = () => {}): void => {
    test(`az ${name}`, async () => {
      const printed = await az.json(line());
      check(printed);
    });
  };
  /** A command that must fail, with the words real Azure has for it. */
  const fails = (name: string, line: () => string, words: RegExp): void => {
    test(`az ${name}`, async () => {
      const { code, stderr } = await az(line());
      expect(code, stderr).not.toBe(0);
      expect(stderr).toMatch(words);
    });
  };
  const plain = (line: string, check?: (printed: Json) => void): void => ok(line, () => line, check);
  const early = <T>(old: T, now: T): T => (az.isEarly ? old : now);
  const onServer = (): string => `-g ${GROUP} ${early("--name", "--server-name")} ${SERVER}`;
  const rule = (name: string): string => `${early("--rule-name", "--name")} ${name}`;
  const database = (name: string): string => `-g ${GROUP} --server-name ${SERVER} ${early("--database-name", "--name")} ${name}`;
  const groupId = (): string => `/subscriptions/${az.local.environment.AZURE_SUBSCRIPTION_ID}/resourceGroups/${GROUP}`;
  const admins = (): string => early("ad-admin", "microsoft-entra-admin");
  const psql = (sql: string, more: { user?: string; password?: string; database?: string } = {}) => {
    const settings = { user: "passwordless-pg-local", password: held.token, database: "postgres", ...more };
    const target = `host=${held.host} user=${settings.user} dbname=${settings.database}`;
    const environment = { ...az.local.variables, PGPASSWORD: settings.password };
    return finish("psql", [target, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"], { env: environment, input: sql });
  };

  describe.sequential(`az ${wanted}`, () => {
    test("installs, starts local Azure, signs in with the lines of `local env --format az`", async ({ cli }) => {
      az = await signInAz(cli, wanted);
      expect(az.isEarly).toBe(wanted !== "newest");
    }, 600_000);

    describe("account and groups", () => {
      plain("account show", (printed) =>
        expect(printed).toMatchObject({ environmentName: "PasswordlessPgLocal", state: "Enabled", user: { type: "servicePrincipal" } }),
      );
      plain("account list", (printed) => expect(printed).toHaveLength(1));
      plain("account list-locations", (printed) => expect(printed.map((row: Json) => row.name)).toContain("eastus"));
      plain("cloud show", (printed) => expect(printed.name).toBe("PasswordlessPgLocal"));
      ok(
        "account get-access-token --resource-type oss-rdbms",
        () => "account get-access-token --resource-type oss-rdbms",
        (printed) => {
          const claims = JSON.parse(Buffer.from(printed.accessToken.split(".")[1], "base64url").toString("utf8"));
          expect(claims.aud).toBe("https://ossrdbms-aad.database.windows.net");
          held.token = printed.accessToken;
          held.objectId = claims.oid;
        },
      );
      plain(`group create --name ${GROUP} --location eastus`, (printed) => expect(printed.properties.provisioningState).toBe("Succeeded"));
      plain(`group show --name ${GROUP}`, (printed) => expect(printed.location).toBe("eastus"));
      plain(`group exists --name ${GROUP}`, (printed) => expect(printed).toBe(true));
      plain("group list", (printed) => expect(printed.map((row: Json) => row.name)).toEqual([GROUP]));
      plain(`group update --name ${GROUP} --tags team=shop`, (printed) => expect(printed.tags).toEqual({ team: "shop" }));
      plain(`group wait --name ${GROUP} --exists`);
      plain("provider show --namespace Microsoft.DBforPostgreSQL", (printed) => expect(printed.registrationState).toBe("Registered"));
      plain("provider register --namespace Microsoft.ServiceLinker");
      ok(
        "tag update … --operation Merge",
        () => `tag update --resource-id ${groupId()} --operation Merge --tags owner=dana`,
        (printed) => expect(printed.properties.tags).toEqual({ team: "shop", owner: "dana" }),
      );
      ok(
        "tag list --resource-id",
        () => `tag list --resource-id ${groupId()}`,
        (printed) => expect(printed.properties.tags).toEqual({ team: "shop", owner: "dana" }),
      );
      plain("tag list", (printed) => expect(printed.map((row: Json) => row.tagName).sort()).toEqual(["owner", "team"]));
      plain(`lock list -g ${GROUP}`, (printed) => expect(printed).toEqual([]));
      plain(`deployment group list -g ${GROUP}`, (printed) => expect(printed).toEqual([]));
      plain("rest --method get --url /subscriptions?api-version=2022-12-01", (printed) => expect(printed.value).toHaveLength(1));
    });

    describe("the database of the recipe", () => {
      plain("postgres flexible-server list-skus --location eastus", (printed) =>
        expect(JSON.stringify(printed)).toContain("Standard_B1ms"),
      );
      ok(
        "postgres flexible-server create … (the recipe word for word, --yes for the missing terminal)",
        () =>
          `postgres flexible-server create --resource-group ${GROUP} --name ${SERVER} --location eastus --tier Burstable --sku-name Standard_B1ms --version 16 ${early("--active-directory-auth", "--microsoft-entra-auth")} Enabled --yes`,
        (printed) => {
          held.host = printed.host;
          expect(printed).toMatchObject({ skuname: "Standard_B1ms", version: "16" });
          expect(printed.firewallName).toMatch(/^FirewallIPAddress_/); // az asks for its own address, 127.0.0.1
        },
      );
      plain(`postgres flexible-server show -g ${GROUP} -n ${SERVER}`, (printed) => {
        expect(printed).toMatchObject({ state: "Ready", authConfig: { activeDirectoryAuth: "Enabled" }, location: "East US" });
        expect(printed.fullyQualifiedDomainName).toBe(held.host);
      });
      plain(`postgres flexible-server list -g ${GROUP}`, (printed) => expect(printed).toHaveLength(1));
      plain("postgres flexible-server list", (printed) => expect(printed).toHaveLength(1));
      ok(
        "postgres flexible-server firewall-rule create",
        () =>
          `postgres flexible-server firewall-rule create ${onServer()} ${rule("office")} --start-ip-address 203.0.113.0 --end-ip-address 203.0.113.9`,
      );
      ok(
        "postgres flexible-server firewall-rule update",
        () => `postgres flexible-server firewall-rule update ${onServer()} ${rule("office")} --end-ip-address 203.0.113.7`,
      );
      ok(
        "postgres flexible-server firewall-rule show",
        () => `postgres flexible-server firewall-rule show ${onServer()} ${rule("office")}`,
        (printed) => expect(printed).toMatchObject({ name: "office", startIpAddress: "203.0.113.0", endIpAddress: "203.0.113.7" }),
      );
      ok(
        "postgres flexible-server firewall-rule list",
        () => `postgres flexible-server firewall-rule list ${onServer()}`,
        (printed) => expect(printed).toHaveLength(2),
      );
      ok(
        "postgres flexible-server firewall-rule delete",
        () => `postgres flexible-server firewall-rule delete ${onServer()} ${rule("office")} --yes`,
      );
      ok(
        "postgres flexible-server db create",
        () => `postgres flexible-server db create ${database("orders")}`,
        (printed) => expect(printed.charset).toBe("UTF8"),
      );
      ok(
        "postgres flexible-server db show",
        () => `postgres flexible-server db show ${database("orders")}`,
        (printed) => expect(printed.name).toBe("orders"),
      );
      plain(`postgres flexible-server db list -g ${GROUP} --server-name ${SERVER}`, (printed) =>
        expect(printed.map((row: Json) => row.name)).toEqual(expect.arrayContaining(["postgres", "azure_sys", "orders"])),
      );
      ok("postgres flexible-server db delete", () => `postgres flexible-server db delete ${database("orders")} --yes`);
      plain(`postgres flexible-server parameter list -g ${GROUP} --server-name ${SERVER}`, (printed) =>
        expect(printed.length).toBeGreaterThan(100),
      );
      plain(`postgres flexible-server parameter set -g ${GROUP} --server-name ${SERVER} --name work_mem --value 8192`, (printed) =>
        expect(printed.value).toBe("8192"),
      );
      plain(`postgres flexible-server parameter show -g ${GROUP} --server-name ${SERVER} --name work_mem`, (printed) =>
        expect(printed).toMatchObject({ value: "8192", source: "user-override" }),
      );
      for (const [value, stored] of [
        ["OFF", "off"],
        ["ON", "on"],
      ]) {
        plain(
          `postgres flexible-server parameter set -g ${GROUP} --server-name ${SERVER} --name require_secure_transport --value ${value}`,
          (printed) => expect(printed.value).toBe(stored),
        );
      }
      plain(
        `postgres flexible-server parameter set -g ${GROUP} --server-name ${SERVER} --name azure.extensions --value PGCRYPTO,UUID-OSSP`,
        (printed) => expect(printed.value).toBe("PGCRYPTO,UUID-OSSP"),
      );
      plain(`postgres flexible-server wait -g ${GROUP} -n ${SERVER} --exists`);
      plain(`postgres flexible-server update -g ${GROUP} -n ${SERVER} --tags team=shop`, (printed) =>
        expect(printed.tags).toEqual({ team: "shop" }),
      );
      plain(`postgres flexible-server restart -g ${GROUP} -n ${SERVER}`);
      plain(`postgres flexible-server stop -g ${GROUP} -n ${SERVER}`);
      plain(`postgres flexible-server start -g ${GROUP} -n ${SERVER}`);
      plain(`postgres flexible-server show-connection-string --server-name ${SERVER}`);
      ok(
        "postgres flexible-server (ad-admin | microsoft-entra-admin) create",
        () =>
          `postgres flexible-server ${admins()} create -g ${GROUP} --server-name ${SERVER} --display-name passwordless-pg-local --object-id ${held.objectId} --type ServicePrincipal`,
        (printed) => expect(printed).toMatchObject({ principalName: "passwordless-pg-local", principalType: "ServicePrincipal" }),
      );
      ok(
        "postgres flexible-server (…) list",
        () => `postgres flexible-server ${admins()} list -g ${GROUP} --server-name ${SERVER}`,
        (printed) => expect(printed).toHaveLength(1),
      );
      ok(
        "postgres flexible-server (…) show",
        () => `postgres flexible-server ${admins()} show -g ${GROUP} --server-name ${SERVER} --object-id ${held.objectId}`,
        (printed) => expect(printed.objectId).toBe(held.objectId),
      );
    });

    describe("the web app of the recipe", () => {
      plain("webapp list-runtimes --os linux", (printed) => expect(JSON.stringify(printed)).toContain("3.12"));
      plain(`appservice plan create --resource-group ${GROUP} --name fastapi-plan --is-linux --sku B1`, (printed) =>
        expect(printed.sku?.name ?? printed.properties?.sku?.name).toBe("B1"),
      );
      plain(`appservice plan show -g ${GROUP} -n fastapi-plan`, (printed) => expect(printed.sku.tier).toBe("Basic"));
      plain("appservice plan list", (printed) => expect(printed).toHaveLength(1));
      plain("appservice list-locations --sku B1 --linux-workers-enabled");
      plain(`webapp create --resource-group ${GROUP} --plan fastapi-plan --name ${SITE} --runtime "PYTHON:3.12"`, (printed) =>
        expect(printed.state).toBe("Running"),
      );
      plain(`webapp show -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.siteConfig.linuxFxVersion).toBe("PYTHON|3.12"));
      plain(`webapp list -g ${GROUP}`, (printed) => expect(printed).toHaveLength(1));
      plain(`webapp identity assign -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.type).toBe("SystemAssigned"));
      plain(`webapp identity show -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.principalId).toMatch(/^[0-9a-f-]{36}$/));
      ok(
        "webapp config appsettings set … DB_HOST DB_USER DB_NAME",
        () =>
          `webapp config appsettings set --resource-group ${GROUP} --name ${SITE} --settings DB_HOST="${held.host}" DB_USER="${SITE}" DB_NAME="postgres" EXTRA=1 SCM_DO_BUILD_DURING_DEPLOYMENT=true`,
      );
      plain(`webapp config appsettings delete -g ${GROUP} -n ${SITE} --setting-names EXTRA`);
      plain(`webapp config appsettings list -g ${GROUP} -n ${SITE}`, (printed) => {
        const names = printed.map((row: Json) => row.name);
        expect(names).toEqual(expect.arrayContaining(["DB_HOST", "DB_USER", "DB_NAME"]));
        expect(names).not.toContain("EXTRA");
      });
      plain(`webapp config set -g ${GROUP} -n ${SITE} --startup-file "python main.py"`, (printed) =>
        expect(printed.appCommandLine).toBe("python main.py"),
      );
      plain(`webapp config show -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.linuxFxVersion).toBe("PYTHON|3.12"));
      plain(`webapp config set -g ${GROUP} -n ${SITE} --always-on true --ftps-state Disabled --min-tls-version 1.2`, (printed) => {
        expect(printed).toMatchObject({ alwaysOn: true, ftpsState: "Disabled", minTlsVersion: "1.2" });
        expect(printed.appCommandLine).toBe("python main.py"); // what az sends as null stays
      });
      test("az webapp config appsettings set --settings @file, with a setting of the slot", async ({ cli }) => {
        const rows = [
          { name: "FROM_FILE", value: "1", slotSetting: false },
          { name: "STICKY", value: "2", slotSetting: true },
        ];
        writeFileSync(join(cli.home, "settings.json"), JSON.stringify(rows));
        await az.json(`webapp config appsettings set -g ${GROUP} -n ${SITE} --settings @settings.json`);
        expect(await az.json(`webapp config appsettings list -g ${GROUP} -n ${SITE}`)).toEqual(expect.arrayContaining(rows));
      });
      plain(`webapp cors add -g ${GROUP} -n ${SITE} --allowed-origins https://shop.example`, (printed) =>
        expect(printed.allowedOrigins).toEqual(["https://shop.example"]),
      );
      plain(`webapp config access-restriction show -g ${GROUP} -n ${SITE}`, (printed) =>
        expect(printed.ipSecurityRestrictions).toHaveLength(1),
      );
      plain(`webapp traffic-routing show -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toEqual([]));
      plain(`webapp vnet-integration list -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toEqual([]));
      plain(`webapp auth show -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.enabled).toBe(false));
      plain(`identity create -g ${GROUP} -n shop-identity`, (printed) => expect(printed.clientId).toMatch(/^[0-9a-f-]{36}$/));
      plain(`identity list -g ${GROUP}`, (printed) => expect(printed).toHaveLength(1));
      ok(
        "webapp identity assign --identities (of its own and user-assigned)",
        () =>
          `webapp identity assign -g ${GROUP} -n ${SITE} --identities [system] ${groupId()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop-identity`,
        (printed) => {
          expect(printed.type).toMatch(/SystemAssigned, ?UserAssigned/);
          expect(Object.keys(printed.userAssignedIdentities)).toHaveLength(1);
        },
      );
      ok(
        "webapp identity remove --identities",
        () =>
          `webapp identity remove -g ${GROUP} -n ${SITE} --identities ${groupId()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop-identity`,
        (printed) => expect(printed.type).toBe("SystemAssigned"),
      );
      plain(`identity delete -g ${GROUP} -n shop-identity`);
      plain(`webapp log config -g ${GROUP} -n ${SITE} --docker-container-logging filesystem`, (printed) =>
        expect(printed.httpLogs.fileSystem.enabled).toBe(true),
      );
      plain(`webapp log show -g ${GROUP} -n ${SITE}`);
      plain(`webapp config connection-string set -g ${GROUP} -n ${SITE} -t PostgreSQL --settings main=x`);
      plain(`webapp config connection-string list -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toHaveLength(1));
      plain(`webapp deployment list-publishing-profiles -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toHaveLength(3));
      plain(`webapp deployment slot list -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toEqual([]));
    });

    describe("deployment and logs", () => {
      test("az webapp deploy --src-path x.zip --type zip", async ({ cli }) => {
        await zipApp(cli.home);
        const { code, stderr } = await az(`webapp deploy -g ${GROUP} -n ${SITE} --src-path x.zip --type zip`);
        expect(code, stderr).toBe(0);
        expect(stderr).toMatch(/Deployment has completed successfully/);
        expect(stderr).not.toMatch(/Failed to track/);
      });
      plain(`webapp list-instances -g ${GROUP} -n ${SITE}`, (printed) => expect(printed).toHaveLength(1));
      plain(`webapp deploy -g ${GROUP} -n ${SITE} --src-path x.zip --type zip --async true`);
      test("az webapp deploy --type static: one file beside the others", async ({ cli }) => {
        writeFileSync(join(cli.home, "a.css"), "a {}");
        const { code, stderr } = await az(`webapp deploy -g ${GROUP} -n ${SITE} --src-path a.css --type static --target-path assets/a.css`);
        expect(code, stderr).toBe(0);
      });
      plain(`webapp deployment source config-zip -g ${GROUP} -n ${SITE} --src x.zip`);
      plain(`webapp log deployment list -g ${GROUP} -n ${SITE}`, (printed) => expect(printed.length).toBeGreaterThan(1));
      plain(`webapp log deployment show -g ${GROUP} -n ${SITE}`);
      test("az webapp log tail shows a line the app prints", async () => {
        const site = await az.json(`webapp show -g ${GROUP} -n ${SITE}`);
        const visits = setInterval(() => void visit(`http://${site.defaultHostName}/a-visit`), 500);
        try {
          expect(
            await az.until(`webapp log tail --name ${SITE} --resource-group ${GROUP}`, (text) => text.includes("seen /a-visit")),
          ).toContain("seen /a-visit");
        } finally {
          clearInterval(visits);
        }
      });
      test("az webapp log download", async ({ cli }) => {
        const { code, stderr } = await az(`webapp log download -g ${GROUP} -n ${SITE} --log-file logs.zip`);
        expect(code, stderr).toBe(0);
        expect(readFileSync(join(cli.home, "logs.zip")).subarray(0, 2).toString("latin1")).toBe("PK");
      });
      plain(`webapp update -g ${GROUP} -n ${SITE} --https-only true`, (printed) => expect(printed.httpsOnly).toBe(true));
      plain(`webapp stop -g ${GROUP} -n ${SITE}`);
      plain(`webapp start -g ${GROUP} -n ${SITE}`);
      plain(`webapp restart -g ${GROUP} -n ${SITE}`);
    });

    describe("Service Connector", () => {
      fails(
        "webapp connection create postgres-flexible … --system-identity: as far as the core command goes without its extension",
        () =>
          `webapp connection create postgres-flexible --resource-group ${GROUP} --name ${SITE} --target-resource-group ${GROUP} --server ${SERVER} --database postgres --system-identity`,
        /serviceconnector-passwordless/,
      );
      test("az rest: the linker that extension would make", async () => {
        const scope = `/subscriptions/${az.local.environment.AZURE_SUBSCRIPTION_ID}/resourceGroups/${GROUP}/providers`;
        const target = `${scope}/Microsoft.DBforPostgreSQL/flexibleServers/${SERVER}/databases/postgres`;
        const body = {
          properties: {
            targetService: { type: "AzureResource", id: target },
            authInfo: { authType: "systemAssignedIdentity", userName: "aad_postgres" },
            clientType: "python",
          },
        };
        writeFileSync(join(az.local.home, "linker.json"), JSON.stringify(body));
        const url = `${scope}/Microsoft.Web/sites/${SITE}/providers/Microsoft.ServiceLinker/linkers/system_identity?api-version=2024-04-01`;
        await az.json(`rest --method put --url ${url} --body @linker.json`);
      });
      plain(
        `webapp connection create postgres-flexible --connection with_secret --resource-group ${GROUP} --name ${SITE} --target-resource-group ${GROUP} --server ${SERVER} --database postgres --secret name=someone secret=a-secret --client-type python`,
      );
      plain(`webapp connection list -g ${GROUP} -n ${SITE}`, (printed) =>
        expect(printed.map((row: Json) => row.name).sort()).toEqual(["system_identity", "with_secret"]),
      );
      plain(`webapp connection show -g ${GROUP} -n ${SITE} --connection system_identity`, (printed) =>
        expect(printed.authInfo.authType).toBe("systemAssignedIdentity"),
      );
      plain(`webapp connection validate -g ${GROUP} -n ${SITE} --connection system_identity`);
      plain(`webapp connection list-configuration -g ${GROUP} -n ${SITE} --connection system_identity`, (printed) =>
        expect(JSON.stringify(printed)).toContain("AZURE_POSTGRESQL_"),
      );
      plain(`webapp connection delete -g ${GROUP} -n ${SITE} --connection with_secret --yes`);
      plain(`webapp connection delete -g ${GROUP} -n ${SITE} --connection system_identity --yes`);
    });

    describe.runIf(hasPostgresClients())("the token of az as the password of psql", () => {
      test("psql: SELECT * FROM pgaadauth_create_principal('fastapi-backend-x', false, false)", async () => {
        const { code, stdout, stderr } = await psql(`SELECT * FROM pgaadauth_create_principal('${SITE}', false, false);`);
        expect(code, stderr).toBe(0);
        expect(stdout).toContain(`Created role for "${SITE}"`);
      });
      test('psql: GRANT ALL PRIVILEGES ON DATABASE postgres TO "fastapi-backend-x"', async () => {
        const { code, stdout, stderr } = await psql(
          `GRANT ALL PRIVILEGES ON DATABASE postgres TO "${SITE}";\nSELECT has_database_privilege('${SITE}', 'postgres', 'CREATE');`,
        );
        expect([code, stdout.trim().split("\n").at(-1)], stderr).toEqual([0, "t"]);
      });
      test("psql: a token for the wrong audience", async () => {
        const { accessToken } = await az.json("account get-access-token");
        const { code, stderr } = await psql("SELECT 1", { password: accessToken });
        expect(code).toBe(2);
        expect(stderr).toMatch(/The access token does not have a valid audience claim\./);
      });
      test("psql: an address no firewall rule lets in", async () => {
        const rules: Json[] = await az.json(`postgres flexible-server firewall-rule list ${onServer()}`);
        for (const { name } of rules) await az.json(`postgres flexible-server firewall-rule delete ${onServer()} ${rule(name)} --yes`);
        const { code, stderr } = await psql("SELECT 1");
        expect(code).toBe(2);
        expect(stderr).toMatch(
          /no pg_hba\.conf entry for host "127\.0\.0\.1", user "passwordless-pg-local", database "postgres", SSL encryption/,
        );
      });
    });

    describe("what az prints when Azure refuses", () => {
      fails(
        "group show, no such group",
        () => "group show --name nowhere",
        /\(ResourceGroupNotFound\) Resource group 'nowhere' could not be found\./,
      );
      fails("webapp list-instances, no such site", () => `webapp list-instances -g ${GROUP} -n nothing`, /was not found|ResourceNotFound/);
      fails(
        "postgres flexible-server show, no such server",
        () => `postgres flexible-server show -g ${GROUP} -n nothing`,
        /\(ResourceNotFound\) The Resource 'Microsoft\.DBforPostgreSQL\/flexibleServers\/nothing' under resource group 'AppServiceRG' was not found\./,
      );
      fails(
        "postgres flexible-server create, a name that is taken",
        () => `postgres flexible-server create -g ${GROUP} -n ${SERVER} --location westus --public-access None --yes`,
        /already (used|exists)|Specified server name/i,
      );
      fails(
        "postgres flexible-server create, a SKU that is not there",
        () =>
          `postgres flexible-server create -g ${GROUP} -n another-db-x --location eastus --tier Burstable --sku-name Standard_X1 --public-access None --yes`,
        /(Incorrect|Invalid) value for --sku-name/,
      );
      fails(
        "postgres flexible-server create, a region that is not there",
        () =>
          `postgres flexible-server create -g ${GROUP} -n another-db-x --location nowhere --tier Burstable --sku-name Standard_B1ms --public-access None --yes`,
        /nowhere/,
      );
      fails(
        "appservice plan create, a region that is not there",
        () => `appservice plan create -g ${GROUP} -n another-plan --is-linux --sku B1 --location nowhere`,
        /provided location 'nowhere' is not available for resource type 'Microsoft\.Web\/serverfarms'/,
      );
      fails(
        "postgres flexible-server restore: local Azure says that it cannot",
        () => `postgres flexible-server restore -g ${GROUP} -n restored-db-x --source-server ${SERVER} --yes`,
        /NotImplementedByLocalAzure/,
      );
      fails(
        "webapp create, a runtime that is not there",
        () => `webapp create -g ${GROUP} -p fastapi-plan -n another-app-x --runtime "PYTHON:1.0"`,
        /not supported|LinuxFxVersion/i,
      );
      fails(
        "webapp create, a plan that is not there",
        () => `webapp create -g ${GROUP} -p no-plan -n another-app-x --runtime "PYTHON:3.12"`,
        /plan 'no-plan'.*(doesn't exist|not found)/i,
      );
      test("az postgres flexible-server firewall-rule create, the server is busy", async () => {
        const message = `Cannot complete operation while server '${SERVER}' is busy processing another operation. Try again later.`;
        await az.local.control("POST", "faults", {
          method: "PUT",
          path: "*/firewallRules/*",
          times: 1,
          action: { kind: "status", status: 409, code: "ServerIsBusy", message },
        });
        const { code, stderr } = await az(
          `postgres flexible-server firewall-rule create ${onServer()} ${rule("busy")} --start-ip-address 203.0.113.1 --end-ip-address 203.0.113.1`,
        );
        expect([code !== 0, stderr.includes(`(ServerIsBusy) ${message}`)], stderr).toEqual([true, true]);
      });
    });

    describe("more of the server", () => {
      ok(
        "postgres flexible-server update --sku-name Standard_B2s",
        () => `postgres flexible-server update -g ${GROUP} -n ${SERVER} --sku-name Standard_B2s --yes`.replace(early(" --yes", ""), ""),
        (printed) => expect(printed.sku.name).toBe("Standard_B2s"),
      );
      ok(
        "postgres flexible-server backup list",
        () => `postgres flexible-server backup list -g ${GROUP} ${early("--name", "--server-name")} ${SERVER}`,
        (printed) => expect(printed).toEqual([]),
      );
      plain(`postgres flexible-server replica list -g ${GROUP} -n ${SERVER}`, (printed) => expect(printed).toEqual([]));
      ok(
        "postgres flexible-server create --public-access 0.0.0.0",
        () =>
          `postgres flexible-server create -g ${GROUP} -n open-db-x --location eastus --tier GeneralPurpose --sku-name Standard_D2ds_v5 --version 16 --public-access 0.0.0.0 --yes`,
        (printed) => expect(printed.firewallName).toMatch(/^(AllowAllAzure|azure-access)/),
      );
      ok(
        "postgres flexible-server create --public-access None",
        () =>
          `postgres flexible-server create -g ${GROUP} -n closed-db-x --location eastus --tier Burstable --sku-name Standard_B1ms --version 16 --public-access None --yes`,
      );
      plain(`resource list -g ${GROUP}`, (printed) => expect(printed.length).toBe(5));
      plain(`resource show -g ${GROUP} -n fastapi-plan --resource-type Microsoft.Web/serverfarms`, (printed) =>
        expect(printed.name).toBe("fastapi-plan"),
      );
    });

    describe("the end", () => {
      ok(
        "postgres flexible-server (…) delete",
        () => `postgres flexible-server ${admins()} delete -g ${GROUP} --server-name ${SERVER} --object-id ${held.objectId} --yes`,
      );
      plain(`postgres flexible-server delete -g ${GROUP} -n ${SERVER} --yes`);
      plain(`webapp delete -g ${GROUP} -n ${SITE} --keep-empty-plan`);
      plain(`appservice plan delete -g ${GROUP} -n fastapi-plan --yes`);
      plain(`group delete --name ${GROUP} --yes`);
      plain("group list", (printed) => expect(printed).toEqual([]));
    });
  });

  afterAll(async () => {
    if (!az) return;
    await writeObserved(`az ${az.isEarly ? az.version : "newest"}`, az.local);
    await az.release();
  });
}

async function visit(url: string): Promise<void> {
  await fetch(url, { redirect: "manual" }).catch(() => undefined);
}

/** An app of one file that needs no package: it prints the path of each request. */
async function zipApp(folder: string): Promise<void> {
  const app = join(folder, "x-app");
  mkdirSync(app, { recursive: true });
  writeFileSync(
    join(app, "main.py"),
    `import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        print("seen " + self.path, flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
`,
  );
  writeFileSync(join(app, "requirements.txt"), "");
  const { code, stderr } = await finish("python3", ["-m", "zipfile", "-c", join(folder, "x.zip"), "main.py", "requirements.txt"], {
    cwd: app,
  });
  expect(code, stderr).toBe(0);
}
