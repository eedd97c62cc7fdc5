import { expect, test } from "vitest";
import type { AccessLevel } from "../../../src/base/access-level.ts";
import type { DatabaseAccess } from "../../../src/cloud/database/access.ts";
import { type AccessDifferenceCode, accessDifferences } from "../../../src/cloud/database/access-differences.ts";
import { privilegesOf } from "../../../src/cloud/database/privileges.ts";

/** Three tables and two sequences, and exactly what the level means. */
function exact(level: AccessLevel): DatabaseAccess {
  const [owns, writes] = [level === "owner", level !== "read"];
  const { tables, sequences } = privilegesOf[level];
  return {
    connect: true,
    temp: owns,
    databaseCreate: false,
    schemaUsage: true,
    schemaCreate: owns,
    isSchemaCreatePublic: false,
    tables: {
      total: 3,
      select: 3,
      insert: writes ? 3 : 0,
      update: writes ? 3 : 0,
      delete: writes ? 3 : 0,
      truncate: owns ? 3 : 0,
      structure: 0,
      columnWrites: writes ? 3 : 0,
    },
    sequences: { total: 2, usage: writes ? 2 : 0, select: 2, update: writes ? 2 : 0 },
    defaultPrivileges: { tables, sequences },
    someDefaultPrivileges: { tables },
    publicTables: [],
    ownedTables: 0,
    ownsInPublic: 0,
    ownsOutsidePublic: 0,
    ownedLargeObjects: 0,
    lentPowers: [],
    foreignHooks: [],
    foreignTables: [],
    memberOf: [],
    isSuperuser: false,
    canCreateRole: false,
    canCreateDatabase: false,
    canBypassRls: false,
    loginBlockers: [],
    misleadingSettings: [],
    canReplicate: false,
  };
}

test.each<AccessLevel>(["owner", "write", "read"])("%s: what the level means is no difference", (level) => {
  expect(accessDifferences(exact(level), level)).toEqual([]);
});

const spoilt: readonly [level: AccessLevel, code: AccessDifferenceCode, text: string, spoil: Partial<DatabaseAccess>][] = [
  ["read", "administrative-right", "may create roles", { canCreateRole: true }],
  ["owner", "connect", "may not make temporary tables", { temp: false }],
  ["write", "excess", "owns 2 tables", { ownedTables: 2 }],
  ["owner", "excess", "runs its code on tables of others (trigger t on public.boss)", { foreignHooks: ["trigger t on public.boss"] }],
  ["read", "excess", "may change rows of tables made later", { someDefaultPrivileges: { tables: ["SELECT", "DELETE"] } }],
  [
    "write",
    "later-objects",
    "lacks privileges on tables made later",
    { defaultPrivileges: { tables: ["SELECT"], sequences: privilegesOf.write.sequences } },
  ],
  ["read", "login", "is barred from signing in by NOLOGIN, VALID UNTIL", { loginBlockers: ["NOLOGIN", "VALID UNTIL"] }],
  ["owner", "membership", "is a member of azure_pg_admin", { memberOf: ["azure_pg_admin"] }],
  [
    "write",
    "misleading-setting",
    "starts with default_transaction_read_only = on (set for the role)",
    { misleadingSettings: [{ name: "default_transaction_read_only", value: "on", scope: "role" }] },
  ],
  ["owner", "schema", "may not create in schema public", { schemaCreate: false }],
  ["write", "sequences", "may use only 1 of 2 sequences", { sequences: { total: 2, usage: 1, select: 2, update: 2 } }],
  ["read", "tables", "may read only 2 of 3 tables", { tables: { ...exact("read").tables, select: 2 } }],
];

test.each(spoilt)("%s: %s: %s", (level, code, text, spoil) => {
  expect(accessDifferences({ ...exact(level), ...spoil }, level)).toEqual([{ code, text }]);
});

test("read-only is no harm to one that only reads, and what the database sets is no difference of the role", () => {
  const readOnly = { name: "default_transaction_read_only", value: "on" } as const;
  expect(accessDifferences({ ...exact("read"), misleadingSettings: [{ ...readOnly, scope: "role" }] }, "read")).toEqual([]);
  expect(accessDifferences({ ...exact("write"), misleadingSettings: [{ ...readOnly, scope: "database" }] }, "write")).toEqual([]);
});
