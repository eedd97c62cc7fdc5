import { ResourceManagementClient } from "@azure/arm-resources";
import { expect } from "vitest";
import { readClaims } from "../../src/base/jwt.ts";
import { fileTest as test } from "../support/emulator.ts";

test("the unmodified ClientSecretCredential signs in and the SDK lists resource groups", async ({ emulator }) => {
  const { endpoints, caPem, credential } = emulator;
  await emulator.group("rg-sdk");
  const client = new ResourceManagementClient(credential, endpoints.subscriptionId, {
    endpoint: endpoints.resourceManager,
    tlsOptions: { ca: caPem },
  });
  const names: string[] = [];
  for await (const group of client.resourceGroups.list()) names.push(group.name ?? "");
  expect(names).toEqual(["rg-sdk"]);
  const token = await credential.getToken("https://ossrdbms-aad.database.windows.net/.default");
  expect(readClaims(token.token)).toMatchObject({
    aud: "https://ossrdbms-aad.database.windows.net",
    idtyp: "app",
    appid: emulator.clientId,
  });
});
