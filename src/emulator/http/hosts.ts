import type { Certificates, Hosts } from "../platform.ts";
import { listen } from "./listener.ts";
import { type Host, handleRequest, type Machinery, notImplemented } from "./pipeline.ts";
import { createRouter, type Route } from "./router.ts";

/** Further HTTP listeners with the journal and the faults of ARM's. `closeAll` ends those still open. */
export function createHosts(machinery: Machinery, certificates: Certificates): Hosts & { closeAll(): Promise<void> } {
  const open = new Set<() => Promise<void>>();
  return {
    serve: async ({ name, routes, tlsNames, port, fallback }) => {
      const router = createRouter(routes);
      const unknown: Route | undefined = fallback && { method: "GET", path: "", source: "inferred", handle: fallback, rawBody: true };
      const host: Host = {
        name,
        find: (incoming) => {
          const match = router.find(incoming.method, incoming.url.pathname);
          if (match) return match;
          if (unknown) return { route: unknown, params: {} };
          throw notImplemented(incoming, name);
        },
      };
      const listener = await listen({
        handle: (incoming) => handleRequest(machinery, host, incoming),
        onBug: machinery.onBug,
        ...(tlsNames ? { tls: certificates.issue(tlsNames) } : {}),
        ...(port === undefined ? {} : { port }),
      });
      const close = async (): Promise<void> => {
        open.delete(close);
        await listener.close();
      };
      open.add(close);
      return { port: listener.port, close };
    },
    closeAll: async () => {
      await Promise.all([...open].map((close) => close()));
    },
  };
}
