import { json, type Route } from "../../http/router.ts";
import { defineChildWork } from "./child-work.ts";
import type { FlexibleServer } from "./model.ts";
import { NO_CACHE, pollRoutes, pollUrl } from "./poll-routes.ts";
import { canHappen } from "./server-state.ts";
import { defineServerWork } from "./server-work.ts";
import { applyServerEvent, requireIdle } from "./servers.ts";
import { locationDisplayName } from "./sizes.ts";
import { acceptedBody } from "./wire.ts";
import { type WriteKind, type WritePayloads, writeKinds } from "./write-kinds.ts";
import type { WriteContext } from "./write-work.ts";

/** The writes of this provider: accept one, and have its work known to the engine. */
export interface Writes {
  /** Begins a write, with the server's state, and gives Azure's 202. `resourceId` is the server's or the child's. */
  accept<K extends WriteKind>(kind: K, server: FlexibleServer, resourceId: string, payload: WritePayloads[K], apiVersion: string): Response;
  /** Routes that answer polls. */
  readonly routes: readonly Route[];
}

export function createWrites(context: WriteContext): Writes {
  const { platform, tables } = context;
  defineServerWork(context);
  defineChildWork(context);
  return {
    accept: (kind, server, resourceId, payload, apiVersion) => {
      const { begins, isRefusedInPoll, ...traits } = writeKinds[kind];
      if (begins) requireIdle(platform, server); // another write may have begun since the handler looked
      if (begins && (canHappen(server, begins) || !isRefusedInPoll)) applyServerEvent(tables.servers, server, begins);
      const operation = platform.operations.accept({
        ...traits,
        kind: `postgres/${kind}`,
        resourceId,
        // Recorded: the polling URLs of a server's DELETE, and of nothing else, hold the display name.
        location: kind === "server-delete" ? locationDisplayName(server.location) : server.location,
        payload: { server: { id: server.id, ...(server.generation ? { generation: server.generation } : {}) }, ...payload },
      });
      return json(202, acceptedBody(operation), {
        "azure-asyncoperation": pollUrl(platform, "azureAsyncOperation", operation, apiVersion),
        location: pollUrl(platform, "operationResults", operation, apiVersion),
        "retry-after": `${operation.retryAfterSeconds}`,
        "x-ms-request-id": operation.id,
        ...NO_CACHE,
      });
    },
    routes: pollRoutes(platform),
  };
}
