import type { PostgresAccount } from "./account.ts";
import type { PostgresBinaries } from "./binaries.ts";

/** What all servers of one major share: programs, account, and the finished cluster new ones are copied from. */
export interface PostgresRuntime {
  readonly binaries: PostgresBinaries;
  readonly account: PostgresAccount;
  /** Folder of the finished cluster. Its collation stands in for Azure's `en_US.utf8`. */
  readonly template: string;
}

/** The owner of everything Azure makes inside a server. */
export const SUPERUSER = "azuresu";
