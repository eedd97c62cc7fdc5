import { escapeIdentifier, escapeLiteral } from "pg";
import { armError } from "../../http/arm-error.ts";
import { applyParameter } from "./parameters.ts";
import { dropAdministratorRole, putAdministratorRole } from "./roles.ts";
import { changeServer, findServer, type ServerKey } from "./servers.ts";
import { defineWork, requireMachine, type WriteContext } from "./write-work.ts";

/** The writes of a server's children: administrators, firewall rules, parameters, databases. */
export function defineChildWork(context: WriteContext): void {
  const { administrators, rules } = context.tables;
  const whileThere = onlyWhileThere(context);
  defineWork(context, "administrator-put", {
    work: async (key, { administrator }) => {
      try {
        await putAdministratorRole(await requireMachine(context, key), administrator);
      } catch (error) {
        if ((error as { severity?: string }).severity !== "ERROR") throw error;
        const reason = "0LP01: An unexpected error occurred while trying to validate user.";
        throw armError(400, "AadAuthOperationFailed", `Failed to create Azure AD Principal. Reason - ${reason}`); // code inferred
      }
    },
    finish: whileThere((_, { administrator }) => administrators.set(administrator.id, administrator)),
  });
  defineWork(context, "administrator-delete", {
    work: async (key, { administrator }) => dropAdministratorRole(await requireMachine(context, key), administrator.principalName),
    finish: whileThere((_, { administrator }) => void administrators.delete(administrator.id)),
  });
  defineWork(context, "firewall-put", { finish: whileThere((_, { rule }) => rules.set(rule.id, rule)) });
  defineWork(context, "firewall-delete", { finish: whileThere((_, { ruleId }) => void rules.delete(ruleId)) });
  defineConfigurationWork(context);
  defineDatabaseWork(context);
}

/** Children of a server that is gone are not written back. */
function onlyWhileThere({ tables }: WriteContext) {
  return <P>(change: (key: ServerKey, payload: P) => void) =>
    (key: ServerKey, payload: P): void => {
      if (findServer(tables.servers, key)) change(key, payload);
    };
}

function defineConfigurationWork(context: WriteContext): void {
  defineWork(context, "configuration-set", {
    work: async (key, { parameter, value }) => applyParameter(parameter, value, await requireMachine(context, key)),
    finish: (key, { parameter, value }) =>
      changeServer(context.tables.servers, key, (server) => {
        const { [parameter.name]: _, ...others } = server.parameters;
        return { ...server, parameters: value === undefined ? others : { ...others, [parameter.name]: value } };
      }),
  });
}

function defineDatabaseWork(context: WriteContext): void {
  const { databases } = context.tables;
  const whileThere = onlyWhileThere(context);
  defineWork(context, "database-put", {
    work: async (key, { database }) => {
      const machine = await requireMachine(context, key);
      const name = escapeLiteral(database.name);
      const known = await machine.administer(`SELECT FROM pg_catalog.pg_database WHERE datname = ${name}::pg_catalog.name`);
      if (known.length > 0) return;
      await machine.query("postgres", `CREATE DATABASE ${escapeIdentifier(database.name)} OWNER azure_pg_admin`);
    },
    finish: whileThere((_, { database }) => databases.set(database.id, database)),
  });
  defineWork(context, "database-delete", {
    work: async (key, { database }) => {
      const machine = await requireMachine(context, key);
      return machine.query("postgres", `DROP DATABASE IF EXISTS ${escapeIdentifier(database.name)} WITH (FORCE)`);
    },
    finish: whileThere((_, { database }) => void databases.delete(database.id)),
  });
}
