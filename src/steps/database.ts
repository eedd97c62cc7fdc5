import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { Database } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

export const database = (name: string, group: string, servers: PostgresServers, needs: { readonly server: Step<PostgresServer> }) =>
  defineStep<Database, typeof needs>({
    name: "database",
    needs,
    read: ({ server }) => servers.getDatabase(group, server.name, name),
    plan: (observed) => (observed ? { kind: "keep" } : { kind: "create", reason: name }),
    apply: async (_change, { server }) => void (await servers.createDatabase(group, server.name, name)),
  });
