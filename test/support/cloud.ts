import { readFileSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { type Cloud, openCloud } from "../../src/cloud/cloud.ts";
import type { CloudContext } from "../../src/cloud/connection.ts";
import { signIn } from "../../src/cloud/credential.ts";
import { type Environment, environments } from "../../src/cloud/environment.ts";
import type { FirewallAccess } from "../../src/cloud/firewall-access.ts";
import type { TestEmulator } from "./emulator.ts";

/** A signal that nobody aborts. */
const never = new AbortController().signal;

/** The client's view of a test's local Azure: the public cloud at other addresses. */
function environmentOf({ endpoints, caPem }: TestEmulator): Environment {
  const { resourceManager, authority: authorityHost } = endpoints;
  const { scopes } = environments.public;
  return {
    name: "local",
    hasOwnAuthority: true,
    resourceManager,
    authorityHost,
    scopes,
    siteScheme: "http",
    scmDomains: ["localhost"],
    caPem,
  };
}

/** What the client's adapters need, signed in as the seeded service principal. */
export async function testCloudContext(emulator: TestEmulator, more: Partial<CloudContext> = {}): Promise<CloudContext> {
  const environment = environmentOf(emulator);
  const { endpoints, clientId, clientSecretFile } = emulator;
  const secret = { tenantId: endpoints.tenantId, clientId, clientSecret: readFileSync(clientSecretFile, "utf8") };
  const credential = more.credential ?? (await signIn(environment, secret, more.signal ?? never));
  return { environment, credential, subscriptionId: endpoints.subscriptionId, signal: never, clock: systemClock, ...more };
}

export async function openTestCloud(emulator: TestEmulator, more: Partial<CloudContext> = {}): Promise<Cloud> {
  return openCloud(await testCloudContext(emulator, more));
}

/** For servers whose firewall lets the test in anyway. */
export const withoutFirewall: Pick<FirewallAccess, "withAccess"> = { withAccess: (_server, work) => work() };
