import { judgeLogin } from "../../machines/postgres/login.ts";
import type { PostgresMachine } from "../../machines/postgres/machine.ts";
import type { GatewayBackend } from "../../machines/postgres/token-gateway.ts";
import type { Platform } from "../../platform.ts";
import { admits, type FirewallRule, type FlexibleServer } from "./model.ts";
import { findRole } from "./roles.ts";
import { watchOf } from "./watch.ts";

/** A server as its gateway sees it: the machine behind it may not be there yet, the row not any more. */
interface GatewayServer {
  readonly id: string;
  row(): FlexibleServer | undefined;
  machine(): PostgresMachine | undefined;
  rules(): readonly FirewallRule[];
}

/** What the gateway of a server asks. */
export function gatewayBackend(platform: Platform, { id, row, machine, rules }: GatewayServer): GatewayBackend {
  const { log, isCallerOutside } = platform;
  const there = (): { readonly machine: PostgresMachine; readonly server: FlexibleServer } => {
    const [found, server] = [machine(), row()];
    if (found && server) return { machine: found, server };
    throw new Error(`the server ${id} is gone`);
  };
  return {
    socketPath: () => there().machine.socketPath(),
    isReady: () => machine()?.isReady() ?? false,
    requiresTls: () => row()?.parameters.require_secure_transport !== "off",
    admits: (address) => admits(rules(), address, isCallerOutside),
    isPublic: () => row()?.publicNetworkAccess === "Enabled",
    judge: async (user, password) => {
      const { machine, server } = there();
      const { activeDirectoryAuth, passwordAuth, tenantId } = server.auth;
      const policy = { activeDirectoryAuth: activeDirectoryAuth === "Enabled", passwordAuth: passwordAuth === "Enabled", tenantId };
      return judgeLogin({ user, password, role: await findRole(machine, user) }, policy, platform);
    },
    watch: () => {
      const server = row();
      return server && watchOf(platform, `postgres:${server.name}`, server.address ?? "localhost");
    },
    log,
  };
}
