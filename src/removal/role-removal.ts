import type { Inventory } from "./inventory.ts";
import type { Removal } from "./removal.ts";

/** The role of an app on somebody else's server: what it owns in databases that stay goes to its placeholder. */
export function roleRemoval({ setup, cloud, firewallAccess, group }: Inventory, role: string): Removal {
  return {
    what: `database role ${role}`,
    why: "its web app goes",
    remove: async () => {
      const server = await cloud.postgresServers.get(group, setup.server.name);
      if (!server) return;
      const roles = await cloud.databases(firewallAccess).asAdministrator(server);
      await roles.drop(role, [setup.database]);
    },
  };
}
