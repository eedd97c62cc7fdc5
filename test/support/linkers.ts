import type { Answer, TestEmulator } from "./emulator.ts";
import { eventually, makeSite, type TestSite } from "./sites.ts";

const SERVER_API = "api-version=2025-08-01";

/** A site and a database of a flexible server, ready to be linked. */
export interface LinkerScene {
  readonly site: TestSite;
  readonly serverId: string;
  readonly databaseId: string;
  readonly host: string;
  /** On the site's linkers; `name` may carry an action, `testconn/validateLinker`. */
  linker(method: string, name: string, apiVersion: string, body?: unknown): Promise<Answer>;
  /** Polls the operation of an accepted answer to its end and gives the last status document. */
  end(accepted: Answer): Promise<Answer>;
  settings(): Promise<Record<string, string>>;
}

export async function makeLinkerScene(emulator: TestEmulator, name: string): Promise<LinkerScene> {
  const site = await makeSite(emulator, name);
  const serverId = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg-${name}`;
  const databaseId = `${serverId}/databases/orders`;
  const write = async (path: string, body: object): Promise<void> => {
    const accepted = await emulator.arm("PUT", `${path}?${SERVER_API}`, body);
    const ended = await emulator.until(accepted.headers.get("azure-asyncoperation") ?? "", (answer) => answer.body.status !== "InProgress");
    if (ended.body.status !== "Succeeded") throw new Error(ended.text);
  };
  await write(serverId, {
    location: "eastus",
    sku: { name: "Standard_B1ms", tier: "Burstable" },
    properties: { version: "16", authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" } },
  });
  await write(databaseId, { properties: {} });
  const server = await emulator.arm("GET", `${serverId}?${SERVER_API}`);
  return {
    site,
    serverId,
    databaseId,
    host: server.body.properties.fullyQualifiedDomainName as string,
    linker: (method, linker, apiVersion, body) =>
      emulator.arm(method, `${site.id}/providers/Microsoft.ServiceLinker/linkers/${linker}?api-version=${apiVersion}`, body),
    end: (accepted) =>
      eventually(
        () => emulator.arm("GET", accepted.headers.get("azure-asyncoperation") ?? ""),
        ({ status, body }) => status !== 200 || body.status !== "Accepted",
      ),
    settings: async () => (await site.arm("POST", "/config/appsettings/list")).body.properties as Record<string, string>,
  };
}

/** A PUT body for the system-assigned identity. */
export function identityLinker(databaseId: string, more: { authInfo?: object; [property: string]: unknown } = {}): object {
  const { authInfo, ...properties } = more;
  return {
    properties: {
      targetService: { type: "AzureResource", id: databaseId },
      authInfo: { authType: "systemAssignedIdentity", ...authInfo },
      clientType: "python",
      secretStore: {},
      ...properties,
    },
  };
}
