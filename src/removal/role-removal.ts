import type { Inventory } from "./inventory.ts";
import type { Removal } from "./removal.ts";

/** The role of an app on somebody else's server: what it owns in databases that stay goes to its placeholder. */
export function roleRemoval({ setup, cloud, databases, group }: Inventory, role: string): Removal {
  return {
    what: `database role ${role}`,
    why: "its web app goes",
    remove: async () => {
      const server = await cloud.postgresServers.get(group, setup.server.name);
      if (!server) return;
      await (await databases.asAdministrator(server)).drop(role, [setup.database]);
    },
  };
}
