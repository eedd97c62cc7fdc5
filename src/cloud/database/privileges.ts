import type { AccessLevel } from "../../base/access-level.ts";

/** What a level gives on every table and sequence of schema public, also on those made later. */
export const privilegesOf: Readonly<Record<AccessLevel, { readonly tables: readonly string[]; readonly sequences: readonly string[] }>> = {
  owner: {
    // Not REFERENCES and TRIGGER, which it has on its own tables: with them its code runs as the owner of another's (planted-code.ts).
    tables: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
    sequences: ["SELECT", "USAGE", "UPDATE"],
  },
  write: { tables: ["SELECT", "INSERT", "UPDATE", "DELETE"], sequences: ["SELECT", "USAGE", "UPDATE"] },
  read: { tables: ["SELECT"], sequences: ["SELECT"] },
};
