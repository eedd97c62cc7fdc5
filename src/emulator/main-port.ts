import { randomUUID } from "node:crypto";
import { KnownError } from "../base/errors.ts";
import { type Listener, listen } from "./http/listener.ts";
import type { Store } from "./store.ts";

/** The tenant and the subscription of a home: made once. */
export interface Identity {
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly port?: number;
}

/**
 * Listens on the port that is wanted, else on the one of the last time, else on any free one, and keeps it with the identity.
 * Throws `local/port-in-use` when the wanted port is taken.
 */
export async function openMainPort(
  store: Store,
  wantedPort: number | undefined,
  edge: Pick<Parameters<typeof listen>[0], "handle" | "tls" | "onBug">,
): Promise<{ listener: Listener; identity: Identity }> {
  const kept = store.collection<Identity>("identity");
  const identity = kept.get("local") ?? { tenantId: randomUUID(), subscriptionId: randomUUID() };
  const port = wantedPort ?? identity.port;
  try {
    const listener = await listen({ ...edge, ...(port === undefined ? {} : { port }), isPortFixed: wantedPort !== undefined });
    kept.set("local", { ...identity, port: listener.port });
    return { listener, identity };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") {
      throw new KnownError("local/failed", `Local Azure may not listen on 127.0.0.1:${wantedPort}.`, {
        hint: "choose a port above 1023, or none to get a free one",
        cause: error,
      });
    }
    if (code !== "EADDRINUSE") throw error;
    throw new KnownError("local/port-in-use", `Local Azure cannot listen on 127.0.0.1:${wantedPort}: the port is in use.`, {
      hint: "choose another port, or none to get a free one",
      cause: error,
    });
  }
}
