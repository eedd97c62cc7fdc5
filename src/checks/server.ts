import { type Check, fix, init } from "./check.ts";
import type { ProjectFacts } from "./facts.ts";

/** The server as Azure shows it: its state, whom it lets sign in, its size. */
export const serverChecks: readonly Check<ProjectFacts>[] = [
  {
    code: "server/exists",
    name: "server exists",
    meaning: "there is no database for the apps",
    repair: init,
    look: async ({ findServer, context }) => {
      const server = await findServer();
      return { ok: server !== undefined, detail: server?.host ?? `flexible server ${context.setup.server.name} does not exist` };
    },
  },
  {
    code: "server/ready",
    name: "server is ready",
    meaning: "nobody can sign in while it is not",
    repair: "run `passwordless-pg server start` (or wait when it says Updating)",
    proof: true,
    look: async ({ server }) => {
      const { host, version, state } = await server();
      return { ok: state === "Ready", detail: `${host} runs PostgreSQL ${version}, state ${state}` };
    },
  },
  {
    code: "server/public-access",
    name: "server is reachable over public access",
    meaning: "the apps and this machine cannot reach it; servers in a virtual network are not supported yet",
    repair: ({ context: { setup } }) =>
      `run \`az postgres flexible-server update -g ${setup.resourceGroup} -n ${setup.server.name} --public-access Enabled\``,
    look: async ({ server }) => {
      const { publicNetworkAccess } = await server();
      return { ok: publicNetworkAccess, detail: onOff(publicNetworkAccess) };
    },
  },
  {
    code: "server/password-auth-off",
    name: "password authentication is off",
    meaning: "a leaked password of any role lets anybody in",
    repair: fix,
    proof: "server takes Entra tokens only",
    look: async ({ server }) => {
      const { passwordAuth } = await server();
      return { ok: !passwordAuth, detail: `passwordAuth ${onOff(passwordAuth)}` };
    },
  },
  {
    code: "server/entra-auth-on",
    name: "Entra authentication is on",
    meaning: "every token is refused",
    repair: fix,
    proof: "server takes Entra tokens only",
    look: async ({ server }) => {
      const { entraAuth } = await server();
      return { ok: entraAuth, detail: `activeDirectoryAuth ${onOff(entraAuth)}` };
    },
  },
  {
    code: "server/tenant",
    name: "server trusts the tenant of the caller",
    meaning: "the server refuses tokens of another tenant",
    repair: "sign in to the server's tenant: `az login --tenant TENANT`",
    look: async ({ server, context: { cloud } }) => {
      const { tenantId } = await server();
      return {
        ok: tenantId === undefined || tenantId.toLowerCase() === cloud.caller.tenantId.toLowerCase(),
        detail: `server ${tenantId ?? "(none)"}, caller ${cloud.caller.tenantId}`,
      };
    },
  },
  {
    code: "server/as-wanted",
    name: "server is as the project file says",
    meaning: "init is blocked, or would change its size",
    repair: "set these values in the project file, or another server name; `passwordless-pg init` changes SKU and storage after asking",
    look: async ({ server, context: { setup } }) => {
      const { location, version, sku, storageGb } = await server();
      const wanted = setup.server;
      const differences = [
        { field: "location", isSo: location !== setup.location, words: `location ${location}, file ${setup.location}` },
        { field: "version", isSo: version !== wanted.version, words: `version ${version}, file ${wanted.version}` },
        { field: "sku", isSo: sku.toLowerCase() !== wanted.sku.toLowerCase(), words: `SKU ${sku}, file ${wanted.sku}` },
        { field: "storageGb", isSo: storageGb !== wanted.storageGb, words: `storage ${storageGb} GB, file ${wanted.storageGb} GB` },
      ] as const;
      const asked = differences.filter(({ field, isSo }) => isSo && !wanted.unspecified.includes(field));
      const detail = asked.map(({ words }) => words).join("; ") || `${sku}, version ${version}, ${storageGb} GB in ${location}`;
      return { ok: asked.length === 0, detail };
    },
  },
];

/** As Azure's switches say it. */
export function onOff(value: boolean): string {
  return value ? "Enabled" : "Disabled";
}
