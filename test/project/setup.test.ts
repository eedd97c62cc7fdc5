import { describe, expect, test } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import type { ProjectFile } from "../../src/project/file.ts";
import { createSetup, withNames } from "../../src/project/setup.ts";
import { validateProject } from "../../src/project/validate.ts";

const setupOf = (file: unknown, environment?: string) =>
  createSetup(file, {
    folder: "/project",
    environment,
    suffix: "7f3a",
    detected: { api: { runtime: "python|3.12" } },
    validate: validateProject,
  });

function problemsOf(file: unknown, environment?: string): string {
  try {
    setupOf(file, environment);
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(KnownError);
    return (error as KnownError).message;
  }
}

describe("createSetup", () => {
  test("an identity is a name or a resource ID; an environment takes it back with system", () => {
    const id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop-id";
    const file = {
      name: "shop",
      apps: { api: { identity: `${id}/` }, worker: { identity: "worker-id", runtime: "node|22-lts" } },
      environments: { dev: { apps: { api: { identity: "System" } } } },
    };
    expect(setupOf(file).sites.map(({ identity }) => identity)).toEqual([id, "worker-id"]);
    const [api, worker] = setupOf(file, "dev").sites;
    expect([api && "identity" in api, worker?.identity]).toEqual([false, "worker-id"]);
    expect(problemsOf({ name: "shop", apps: { api: { identity: "/subscriptions/s/shop-id" } } })).toMatch(
      /apps\.api\.identity "\/subscriptions\/s\/shop-id": is not the resource ID/,
    );
  });

  test("apps that share an identity must have the same access, however it is named", () => {
    const id = "/subscriptions/s/resourceGroups/RG-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Shop-ID";
    const of = (access: string) => ({
      name: "shop",
      apps: { api: { identity: "shop-id" }, worker: { identity: id, access, runtime: "node|22-lts" } },
    });
    expect(problemsOf(of("owner"))).toBe("");
    expect(problemsOf(of("read"))).toMatch(/api \("owner"\) and worker \("read"\) share an identity/);
  });

  test("settings that say where the database is or who the app is are not the file's to set", () => {
    const problems = problemsOf({
      name: "shop",
      apps: { api: { settings: { DB_HOST: "elsewhere", azure_postgresql_host: "elsewhere", IDENTITY_ENDPOINT: "http://elsewhere/" } } },
    });
    for (const name of ["DB_HOST", "azure_postgresql_host", "IDENTITY_ENDPOINT"]) {
      expect(problems).toContain(`apps.api.settings.${name}: is set for you`);
    }
    expect(problemsOf({ name: "shop", apps: { api: { settings: { DB_PORT: "6432", AZURE_CLIENT_ID: "another", DB_HOSTS: "x" } } } })).toBe(
      "",
    );
  });

  test.each([
    ...["DB_PASSWORD", "PGPASSWORD", "POSTGRES_PASSWORD", "DATABASE_PASS", "DBPWD", "DJANGO_DB_PASSWORD", "db_user_password", "DB_SECRET"],
    ...["spring.datasource.password", "SPRING_DATASOURCE_PASSWORD", "App.Database__Password", "SQLALCHEMY_PASSWORD", "PSQL_PASSPHRASE"],
  ])("a password of the database among the settings is refused before it is sent: %s", (name) => {
    const problems = problemsOf({ name: "shop", apps: { api: { settings: { [name]: "tr0ub4dor" } } } });
    expect(problems).toContain(`apps.api.settings.${name}: is a password of the database, which takes none`);
    expect(problems).not.toContain("tr0ub4dor");
    expect(problemsOf({ name: "shop", apps: { api: { settings: { [name]: "@Microsoft.KeyVault(VaultName=v;SecretName=s)" } } } })).toBe("");
    expect(problemsOf({ name: "shop", apps: { api: { settings: { [name]: "" } } } })).toBe("");
    const other = { name: "shop", environments: { dev: { apps: { api: { settings: { [name]: "x" } } } } } };
    expect([problemsOf(other), problemsOf(other, "dev")]).toEqual(["", expect.stringContaining("a password of the database")]);
  });

  test.each([
    "postgres://ada:tr0ub4dor@db.example/shop",
    "postgresql+asyncpg://:tr0ub4dor@db.example/shop",
    "jdbc:postgresql://db.example/shop?user=ada&password=tr0ub4dor",
    "host=db.example user=ada password=tr0ub4dor",
    "Host=db.example;Username=ada;Password=tr0ub4dor",
    "Server=x.postgres.database.azure.com;Pwd = tr0ub4dor",
  ])("a connection text with a password is refused under any name: %s", (value) => {
    const problems = problemsOf({ name: "shop", apps: { api: { settings: { STORE: value } } } });
    expect(problems).toContain("apps.api.settings.STORE: holds a password of the database");
    expect(problems).not.toContain("tr0ub4dor");
  });

  test.each([
    ["STRIPE_API_KEY", "sk_live_1"],
    ["PASSWORD", "x"],
    ["SECRET_KEY", "x"],
    ["MONGO_DB_PASSWORD", "x"],
    ["REDIS_URL", "redis://:x@cache/0"],
    ["MYSQL_URL", "mysql://a:b@h/d"],
    ["SQL_SERVER", "Server=h;Password=x"],
    ["DB_PASSWORD_FILE", "/run/secrets/db"],
    ["DB_PASSWORDLESS", "true"],
    ["DB_TOKEN_SCOPE", "https://x/.default"],
    ["DATABASE_URL", "postgresql://ada@db.example/shop?sslmode=require"],
    ["DB_ENCRYPTION_SECRET", "x"],
    ["FORGOT_PASSWORD_PAGE", "/forgot?password=1"],
  ])("other secrets and what is none are not refused: %s", (name, value) => {
    expect(problemsOf({ name: "shop", apps: { api: { settings: { [name]: value } } } })).toBe("");
  });

  test("only a name is needed; everything else has a default", () => {
    expect(setupOf({ name: "orders" })).toEqual({
      name: "orders",
      owner: "orders/orders-db-7f3a",
      location: "eastus",
      resourceGroup: "rg-orders",
      server: {
        name: "orders-db-7f3a",
        version: "16",
        sku: "Standard_B1ms",
        storageGb: 32,
        firewall: "azure-services",
        unspecified: ["location", "version", "sku", "storageGb"],
      },
      database: "orders",
      plans: [{ name: "orders-api-7f3a-plan", sku: "B1", isSkuUnspecified: true }],
      sites: [
        {
          app: "api",
          label: "api",
          address: { group: "rg-orders", app: "orders-api-7f3a" },
          host: "webapp",
          runtime: "PYTHON|3.12",
          folder: "/project",
          plan: "orders-api-7f3a-plan",
          access: "owner",
          startup: "",
          health: "",
          role: "orders-api-7f3a",
          linker: "postgres_api",
          clientType: "python",
          settings: {},
          include: [],
        },
      ],
    });
  });

  test("the design's example is taken as it is written", () => {
    const setup = setupOf({
      name: "orders",
      location: "East US",
      resourceGroup: "rg-orders",
      server: { name: "orders-db-7f3a", version: "16", sku: "Standard_B1ms", storageGb: 32 },
      database: "orders",
      apps: {
        api: {
          host: "webapp",
          name: "orders-api-7f3a",
          runtime: "python|3.12",
          path: ".",
          plan: "B1",
          access: "owner",
          startup: "python -m uvicorn main:app",
          health: "/healthz",
        },
      },
    });
    expect(setup.location).toBe("eastus");
    expect(setup.sites[0]).toMatchObject({ startup: "python -m uvicorn main:app", health: "/healthz" });
  });

  test("all problems are reported together", () => {
    const message = problemsOf({
      name: "Orders!",
      locatoin: "eastus",
      server: { version: "9", name: "Bad_Name" },
      apps: { api: { access: "all" } },
    });
    for (const part of [
      'unknown key "locatoin"',
      "server.version: must be one of",
      "apps.api.access: must be one of owner, write, read",
      "name: must match",
    ]) {
      expect(message).toContain(part);
    }
    const names = problemsOf({
      name: "orders",
      resourceGroup: "rg.",
      database: "azure_sys",
      server: { name: "-x" },
      apps: { api: { name: "a_b" } },
    });
    for (const part of ["resourceGroup", "database", "server.name", "apps.api.name"]) expect(names).toContain(part);
  });

  test.each([
    ["an unknown environment", { name: "orders" }, "staging", "environments.staging"],
    ["an app nobody can tell the runtime of", { name: "orders", apps: { web: {} } }, undefined, "apps.web.runtime"],
    ["no object at all", [], undefined, "must be object"],
    [
      "two apps of one name",
      { name: "orders", apps: { api: { name: "same" }, web: { name: "same", runtime: "node|22-lts" } } },
      undefined,
      "two apps",
    ],
  ])("refuses %s", (_what, file, environment, part) => {
    expect(problemsOf(file, environment)).toContain(part);
  });

  test("an environment shares no globally unique name and no resource group with the others", () => {
    const file = {
      name: "orders",
      resourceGroup: "rg-x",
      server: { name: "orders-db-main" },
      apps: { api: { name: "orders-api-main", plan: "S1" } },
      environments: { staging: { location: "westeurope" } },
    };
    const setup = setupOf(file, "staging");
    expect(setup).toMatchObject({ location: "westeurope", resourceGroup: "rg-orders-staging", server: { name: "orders-db-7f3a" } });
    expect(setup.sites[0]).toMatchObject({ address: { app: "orders-api-7f3a" } });
    expect(setup.plans[0]).toMatchObject({ sku: "S1" });
  });

  test("names written back are found again and never change", () => {
    const file: ProjectFile = { name: "orders", apps: { api: { path: "." } } };
    const written = withNames(file, setupOf(file));
    expect(written.server?.name).toBe("orders-db-7f3a");
    const again = createSetup(written, {
      folder: "/elsewhere",
      suffix: "zzzz",
      detected: { api: { runtime: "python|3.12" } },
      validate: validateProject,
    });
    expect(again.server.name).toBe("orders-db-7f3a");
    expect(again.sites[0]?.address.app).toBe("orders-api-7f3a");
    expect(withNames(written, again)).toEqual(written);
  });
});
