import { describe, expect, it } from "vitest";
import { remembering, whoAmI } from "../../src/cloud/credential.ts";
import { environments } from "../../src/cloud/environment.ts";
import { unsignedToken } from "./replay-server.ts";

const credentialOf = (claims: Readonly<Record<string, unknown>>) => ({
  getToken: async () => ({ token: unsignedToken(claims), expiresOnTimestamp: Date.now() + 3_600_000 }),
});

const group = "/subscriptions/s/resourceGroups/rg/providers";
const machine = { oid: "o", tid: "t", appid: "app-id", idtyp: "app" };

describe("whoAmI", () => {
  it.each([
    ["a user of a v1 token", { oid: "o", tid: "t", upn: "ana@example.com" }, { name: "ana@example.com", type: "User" }],
    // trap: passwordless-flow 1
    ["a guest", { oid: "o", tid: "t", unique_name: "live.com#ana@example.com" }, { name: "ana@example.com", type: "User" }],
    // trap: postgres 14
    ["an application", { oid: "o", tid: "t", appid: "app-id", idtyp: "app" }, { name: "app-id", type: "ServicePrincipal" }],
    [
      "a machine",
      { ...machine, xms_mirid: `${group}/Microsoft.Compute/virtualMachines/agent` },
      { name: "agent", type: "ServicePrincipal" },
    ],
    [
      "a user-assigned identity, with its group in lower case",
      { ...machine, xms_mirid: `${group.toLowerCase()}/Microsoft.ManagedIdentity/userAssignedIdentities/deployer` },
      { name: "deployer", type: "ServicePrincipal" },
    ],
    [
      "the slot of a web app",
      { ...machine, xms_mirid: `${group}/Microsoft.Web/sites/shop/slots/staging` },
      { name: "shop/slots/staging", type: "ServicePrincipal" },
    ],
    ["a named application", { oid: "o", tid: "t", appid: "a", app_displayname: "ci" }, { name: "ci", type: "ServicePrincipal" }],
  ])("knows %s", async (_who, claims, expected) => {
    expect(await whoAmI(credentialOf(claims), environments.public)).toEqual({ objectId: "o", tenantId: "t", groups: [], ...expected });
  });

  it("says how to sign in when nobody is", async () => {
    const nobody = { getToken: () => Promise.reject(new Error("Please run 'az login'")) };
    await expect(whoAmI(nobody, environments.public)).rejects.toMatchObject({
      code: "auth/signed-out",
      hint: expect.stringContaining("az login"),
    });
  });
});

describe("remembering", () => {
  // trap: postgres 39, kudu 5
  it("asks once for one scope, also when asked in parallel, and again near the end", async () => {
    let asked = 0;
    let lifetimeMs = 3_600_000;
    const inner = {
      getToken: async () => {
        asked += 1;
        return { token: `token ${asked}`, expiresOnTimestamp: Date.now() + lifetimeMs };
      },
    };
    const credential = remembering(inner);
    await Promise.all([credential.getToken("a"), credential.getToken("a"), credential.getToken(["a"])]);
    expect(asked).toBe(1);
    lifetimeMs = 60_000;
    await credential.getToken("b");
    await credential.getToken("b");
    expect(asked).toBe(3);
  });

  it("does not remember a failure", async () => {
    let asked = 0;
    const credential = remembering({
      getToken: async () => {
        asked += 1;
        if (asked === 1) throw new Error("once");
        return { token: "t", expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    });
    await expect(credential.getToken("a")).rejects.toThrow("once");
    expect((await credential.getToken("a"))?.token).toBe("t");
  });
});
