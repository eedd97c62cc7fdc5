import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCloud } from "../../src/cloud/cloud.ts";
import { environments } from "../../src/cloud/environment.ts";
import { isOfOrigin, ownHost } from "../../src/cloud/own-host.ts";
import { scmSite } from "../../src/cloud/scm/scm-site.ts";
import { contextOf, type ReplayServer, startReplay } from "./replay-server.ts";

const domains = ["azurewebsites.net"];
const SUBSCRIPTION = "4d042dc6-fe17-4698-a23f-ec6a8d1e98f4";

/** What would lead a token elsewhere. */
const strange = [
  "",
  " ",
  "evil.com",
  "a@evil.com",
  "shop.scm.azurewebsites.net@evil.com",
  "evil.com/shop.scm.azurewebsites.net",
  "evil.com#.azurewebsites.net",
  "evil.com?.azurewebsites.net",
  "evil.com\\.azurewebsites.net",
  "azurewebsites.net.evil.com",
  "evilazurewebsites.net",
  ".azurewebsites.net",
  "shop..azurewebsites.net",
  "shop.azurewebsites.net:",
  "shop.azurewebsites.net:443:1",
  "shop.azurewebsites.net:443/x",
  "evil.com\n.azurewebsites.net",
  "еvil.azurewebsites.net",
  "[::1]",
];

describe("a host that a token is sent to", () => {
  test.each(strange)("%j is refused, before anything is sent", async (host) => {
    expect(() => ownHost("the SCM site of shop", host, domains)).toThrow(expect.objectContaining({ code: "azure/invalid" }));
    let asked = 0;
    const environment = environments.public;
    const credential = {
      getToken: async () => {
        asked += 1;
        return null;
      },
    };
    const context = { ...contextOf({ origin: "https://localhost", caPem: "" } as ReplayServer, SUBSCRIPTION), environment, credential };
    await expect(scmSite(context, { name: "shop", scmHost: host }).warmUp()).rejects.toMatchObject({ code: "azure/invalid" });
    expect(asked).toBe(0);
  });

  test.each([
    "shop.scm.azurewebsites.net",
    "shop-a1b2c3.scm.eastus-01.azurewebsites.net",
    "SHOP.SCM.AZUREWEBSITES.NET",
    "shop.scm.azurewebsites.net:443",
  ])("%s will do", (host) => {
    expect(ownHost("the SCM site of shop", host, domains)).toBe(host);
  });

  test.each(["localhost:4711", "127.0.0.3"])("%s will do where no domain is known", (host) => {
    expect(ownHost("the server", host, undefined)).toBe(host);
    expect(() => ownHost("the server", "a@evil.com", undefined)).toThrow(/no token is sent there/);
  });

  test("every public cloud says which they are", () => {
    for (const { scmDomains, postgresDomains } of Object.values(environments))
      expect([scmDomains?.length, postgresDomains?.length]).toEqual([1, 1]);
  });
});

test.each([
  ["https://management.azure.com/subscriptions/x?y=https://evil.com", true],
  ["https://eastus.management.azure.com/x", true],
  ["http://management.azure.com/x", false],
  ["https://management.azure.com:444/x", false],
  ["https://management.azure.com@evil.com/x", false],
  ["https://evilmanagement.azure.com/x", false],
  ["https://management.azure.com.evil.com/x", false],
])("%s is Azure's own: %s", (address, isOwn) => {
  expect(isOfOrigin(address, "https://management.azure.com")).toBe(isOwn);
});

describe("an answer that leads to another host", () => {
  let azure: ReplayServer;
  let elsewhere: ReplayServer;
  beforeAll(async () => {
    [azure, elsewhere] = await Promise.all([startReplay(), startReplay()]);
  });
  afterAll(async () => {
    await Promise.all([azure.close(), elsewhere.close()]);
  });
  // Headers are rewritten to the replay server; `HTTPS:` is not.
  const other = (path: string): string => elsewhere.origin.replace("https:", "HTTPS:") + path;
  const url = (path: string): string => `https://management.azure.com/subscriptions/${SUBSCRIPTION}${path}`;

  test("is not followed with the token: the next page of a list", async () => {
    const body = { value: [], nextLink: `${elsewhere.origin}/next` };
    azure.play([
      {
        request: { method: "GET", url: url("/resourceGroups/rg/providers/Microsoft.Web/sites") },
        response: { status: 200, headers: {}, body },
      },
      {
        request: { method: "GET", url: url("/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers") },
        response: { status: 200, headers: {}, body },
      },
    ]);
    const cloud = await openCloud(contextOf(azure, SUBSCRIPTION));
    await expect(cloud.sites.list("rg")).rejects.toThrow(/on another host/);
    await expect(cloud.postgresServers.list("rg")).rejects.toThrow(/on another host/);
    expect(elsewhere.requests).toEqual([]);
  });

  test("is not followed with the token: the state of an operation", async () => {
    for (const header of ["location", "azure-asyncoperation"]) {
      azure.play([
        {
          request: { method: "POST", url: url("/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/db/restart") },
          response: { status: 202, headers: { [header]: other("/state") }, body: {} },
        },
      ]);
      const cloud = await openCloud(contextOf(azure, SUBSCRIPTION));
      await expect(cloud.postgresServers.restart("rg", "db")).rejects.toThrow(/on another host/);
    }
    expect(elsewhere.requests).toEqual([]);
  });

  test("nor is a server believed that is not below the cloud's domain", async () => {
    azure.play([
      {
        request: { method: "GET", url: url("/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/db") },
        response: {
          status: 200,
          headers: {},
          body: { name: "db", location: "eastus", properties: { fullyQualifiedDomainName: "db.evil.com" } },
        },
      },
    ]);
    const context = contextOf(azure, SUBSCRIPTION);
    const environment = { ...context.environment, postgresDomains: environments.public.postgresDomains };
    const cloud = await openCloud({ ...context, environment });
    await expect(cloud.postgresServers.get("rg", "db")).rejects.toThrow(
      /flexible server db, which is not below postgres\.database\.azure\.com/,
    );
  });
});
