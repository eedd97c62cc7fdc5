import { notImplemented } from "./arm-error.ts";
import type { Certificates } from "./certificates.ts";
import { listen } from "./listener.ts";
import { type Host, type HttpContext, handleRequest } from "./pipeline.ts";
import { createRouter, type Handler, type Route } from "./router.ts";

/** Opens further HTTP listeners on 127.0.0.1 (SCM sites, the identity endpoint) with the same journal and faults as ARM's. */
export interface Hosts {
  serve(host: {
    /** For journal and faults: `scm:shop-api`, `identity`. */
    readonly name: string;
    readonly routes: readonly Route[];
    /** Certificate names; without them plain HTTP. */
    readonly tlsNames?: readonly string[];
    /** Preferred port; another is chosen when it is taken. */
    readonly port?: number;
    /** Answers what no route knows; 501 by default. */
    readonly fallback?: Handler;
  }): Promise<{ readonly port: number; close(): Promise<void> }>;
}

/** `closeAll` ends those still open. */
export function createHosts(context: HttpContext, certificates: Certificates): Hosts & { closeAll(): Promise<void> } {
  const open = new Set<() => Promise<void>>();
  return {
    serve: async ({ name, routes, tlsNames, port, fallback }) => {
      const router = createRouter(routes);
      const unknown: Handler = (request) => {
        throw notImplemented(request, name);
      };
      const host: Host = { name, find: ({ method, url }) => router.find(method, url.pathname), fallback: fallback ?? unknown };
      const listener = await listen({
        handle: (incoming) => handleRequest(context, host, incoming),
        onBug: context.onBug,
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
