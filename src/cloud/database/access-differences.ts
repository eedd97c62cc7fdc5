import type { AccessLevel } from "../../base/access-level.ts";
import type { DatabaseAccess, MisleadingSetting } from "./access.ts";
import { privilegesOf } from "./privileges.ts";

/** What a difference is about: each but `excess`, that is any other right too many, breaks the app in a way of its own. */
export type AccessDifferenceCode =
  | "administrative-right"
  | "connect"
  | "excess"
  | "later-objects"
  | "login"
  | "membership"
  | "misleading-setting"
  | "schema"
  | "sequences"
  | "tables";

/** One way in which a role's access is not what its level means. */
export interface AccessDifference {
  readonly code: AccessDifferenceCode;
  /** In words, `may read only 2 of 3 tables`. */
  readonly text: string;
}

/** Whether a setting hinders an app of this level: read-only is no harm to one that only reads. */
export function hinders({ name }: MisleadingSetting, level: AccessLevel): boolean {
  return name !== "default_transaction_read_only" || level !== "read";
}

type Rule = readonly [code: AccessDifferenceCode, text: (access: DatabaseAccess, level: AccessLevel) => string | false];

const writes = (level: AccessLevel): boolean => level !== "read";
const owns = (level: AccessLevel): boolean => level === "owner";
const list = (words: readonly string[], before: string, after = ""): string | false =>
  words.length > 0 && `${before}${words.join(", ")}${after}`;
const fewer = (part: number, total: number, may: string, what: string): string | false =>
  part < total && `may ${may} only ${part} of ${total} ${what}`;
const lacks = (words: readonly string[], wanted: readonly string[], on: string): string | false =>
  !wanted.every((word) => words.includes(word)) && `lacks privileges on ${on} made later`;

const misleading: Rule[1] = ({ misleadingSettings }, level) => {
  const ofRole = misleadingSettings.filter((setting) => setting.scope !== "database" && hinders(setting, level));
  return list(
    ofRole.map(({ name, value, scope }) => `${name} = ${value} (set for the ${scope})`),
    "starts with ",
  );
};

/** Whether later tables give a word, whoever makes them. */
const laterTablesGive = ({ someDefaultPrivileges: { tables } }: DatabaseAccess, ...wanted: readonly string[]): boolean =>
  tables.some((word) => wanted.includes(word));

/** In the order they are told: what is missing, then what is too much. */
const rules: readonly Rule[] = [
  ["misleading-setting", misleading],
  ["login", ({ loginBlockers }) => list(loginBlockers, "is barred from signing in by ")],
  ["connect", ({ connect }) => !connect && "may not connect"],
  ["connect", ({ temp }, level) => owns(level) && !temp && "may not make temporary tables"],
  ["schema", ({ schemaUsage }) => !schemaUsage && "may not use schema public"],
  ["schema", ({ schemaCreate }, level) => owns(level) && !schemaCreate && "may not create in schema public"],
  ["tables", ({ tables }) => fewer(tables.select, tables.total, "read", "tables")],
  ["tables", ({ tables }, level) => writes(level) && fewer(tables.insert, tables.total, "insert into", "tables")],
  ["tables", ({ tables }, level) => writes(level) && fewer(tables.update, tables.total, "update", "tables")],
  ["tables", ({ tables }, level) => writes(level) && fewer(tables.delete, tables.total, "delete from", "tables")],
  ["tables", ({ tables }, level) => owns(level) && fewer(tables.truncate, tables.total, "truncate", "tables")],
  ["sequences", ({ sequences }, level) => writes(level) && fewer(sequences.usage, sequences.total, "use", "sequences")],
  ["sequences", ({ sequences }) => fewer(sequences.select, sequences.total, "read", "sequences")],
  ["later-objects", ({ defaultPrivileges }, level) => lacks(defaultPrivileges.tables, privilegesOf[level].tables, "tables")],
  ["later-objects", ({ defaultPrivileges }, level) => lacks(defaultPrivileges.sequences, privilegesOf[level].sequences, "sequences")],
  ["administrative-right", ({ isSuperuser }) => isSuperuser && "is a superuser"],
  ["administrative-right", ({ canCreateRole }) => canCreateRole && "may create roles"],
  ["administrative-right", ({ canCreateDatabase }) => canCreateDatabase && "may create databases"],
  ["administrative-right", ({ canBypassRls }) => canBypassRls && "bypasses row security"],
  ["administrative-right", ({ canReplicate }) => canReplicate && "may replicate"],
  ["membership", ({ memberOf }) => list(memberOf, "is a member of ")],
  ["excess", ({ databaseCreate }) => databaseCreate && "may create schemas"],
  [
    "excess",
    ({ schemaCreate, isSchemaCreatePublic }, level) =>
      !owns(level) && schemaCreate && !isSchemaCreatePublic && "may create in schema public",
  ],
  ["excess", ({ ownedTables }, level) => !owns(level) && ownedTables > 0 && `owns ${ownedTables} tables`],
  [
    "excess",
    ({ ownedTables, ownsInPublic }, level) => !owns(level) && ownsInPublic > ownedTables && `owns ${ownsInPublic} objects in schema public`,
  ],
  // What an owner made elsewhere with a right that somebody gave it is not taken from it unasked: doctor and verify name it.
  [
    "excess",
    ({ ownsOutsidePublic }, level) => !owns(level) && ownsOutsidePublic > 0 && `owns ${ownsOutsidePublic} objects outside schema public`,
  ],
  ["excess", ({ tables }, level) => !writes(level) && tables.columnWrites + tables.delete > 0 && "may change rows"],
  ["excess", ({ tables }, level) => !owns(level) && tables.truncate > 0 && "may truncate tables"],
  ["excess", ({ tables }) => tables.structure > 0 && "may reference tables of others or put triggers on them"],
  ["excess", ({ foreignHooks }) => list(foreignHooks, "runs its code on tables of others (", ")")],
  ["excess", (access) => laterTablesGive(access, "REFERENCES", "TRIGGER") && "may reference tables made later or put triggers on them"],
  ["excess", ({ sequences }, level) => !writes(level) && sequences.update + sequences.usage > 0 && "may change sequences"],
  [
    "excess",
    ({ someDefaultPrivileges: { tables } }, level) =>
      !writes(level) && tables.some((word) => word !== "SELECT") && "may change rows of tables made later",
  ],
  ["excess", (access, level) => level === "write" && laterTablesGive(access, "TRUNCATE") && "may truncate tables made later"],
];

/** Whether the access is exactly what the level means: the differences, none when it is. */
export function accessDifferences(access: DatabaseAccess, level: AccessLevel): AccessDifference[] {
  return rules.flatMap(([code, textOf]) => {
    const text = textOf(access, level);
    return text === false ? [] : [{ code, text }];
  });
}
