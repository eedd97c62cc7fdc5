import type { Administrator, Database, FirewallRule, FlexibleServer } from "./model.ts";
import type { Parameter } from "./parameters.ts";
import type { ServerEvent, ServerState } from "./server-state.ts";

/** One kind of write: Azure's name of it, and how long it really took. */
interface WriteTraits {
  readonly name: string;
  readonly recordedMs: number;
  readonly retryAfterSeconds: number;
  readonly polls: number;
  /** What its acceptance does to the server. */
  readonly begins?: ServerEvent;
  /** Where that cannot happen it is taken all the same, and its poll tells. */
  readonly isRefusedInPoll?: boolean;
}

/**
 * Every kind of write: Azure's name of it (recorded, but restart's), how long it really took and its `Retry-After` (recorded).
 * What each needs is in its payload, so that it can be done again after a `kill -9`.
 */
export const writeKinds: Readonly<Record<WriteKind, WriteTraits>> = {
  "server-create": { name: "UpsertServerManagementOperationV2", recordedMs: 240_000, retryAfterSeconds: 60, polls: 3 },
  "server-update": { name: "UpsertServerManagementOperationV2", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1, begins: "update" },
  "server-delete": { name: "DropServerManagementOperation", recordedMs: 45_000, retryAfterSeconds: 15, polls: 1, begins: "drop" },
  "server-start": { name: "StartServerManagementOperation", recordedMs: 120_000, retryAfterSeconds: 60, polls: 1, begins: "start" },
  "server-stop": {
    name: "StopServerManagementOperation",
    recordedMs: 180_000,
    retryAfterSeconds: 60,
    polls: 1,
    begins: "stop",
    isRefusedInPoll: true,
  },
  "server-restart": {
    name: "RestartServerManagementOperation",
    recordedMs: 60_000,
    retryAfterSeconds: 60,
    polls: 1,
    begins: "restart",
    isRefusedInPoll: true,
  },
  "administrator-put": { name: "UpsertAadAuthPrincipalManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "administrator-delete": { name: "DropAadAuthPrincipalManagementOperation", recordedMs: 29_000, retryAfterSeconds: 30, polls: 1 },
  "firewall-put": { name: "UpsertServerFirewallRulesManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "firewall-delete": { name: "DropServerFirewallRulesManagementOperation", recordedMs: 60_000, retryAfterSeconds: 60, polls: 1 },
  "configuration-set": { name: "UpdateConfigurationManagementOperation", recordedMs: 11_000, retryAfterSeconds: 10, polls: 1 },
  "database-put": { name: "UpsertServerDatabaseManagementOperation", recordedMs: 10_500, retryAfterSeconds: 10, polls: 1 },
  "database-delete": { name: "DropServerDatabaseManagementOperation", recordedMs: 10_500, retryAfterSeconds: 10, polls: 1 },
};

/** What each kind of write carries besides the server. */
export interface WritePayloads {
  "server-create": Record<never, never>;
  "server-update": { readonly next: FlexibleServer; readonly needsRestart: boolean };
  "server-delete": Record<never, never>;
  "server-start": Record<never, never>;
  "server-stop": { readonly before: ServerState };
  "server-restart": { readonly before: ServerState };
  "administrator-put": { readonly administrator: Administrator };
  "administrator-delete": { readonly administrator: Administrator };
  "firewall-put": { readonly rule: FirewallRule };
  "firewall-delete": { readonly ruleId: string };
  "configuration-set": { readonly parameter: Parameter; readonly value?: string };
  "database-put": { readonly database: Database };
  "database-delete": { readonly database: Database };
}

export type WriteKind = keyof WritePayloads;
