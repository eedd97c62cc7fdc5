import { KnownError } from "../base/errors.ts";
import { createAzureHost } from "./arm/azure-host.ts";
import { controlRoutes } from "./control.ts";
import type { EmulatorOptions } from "./emulator-options.ts";
import { type Foundation, type HomeSecrets, openFoundation } from "./foundation.ts";
import type { Faults } from "./http/faults.ts";
import { createHosts } from "./http/hosts.ts";
import type { Journal } from "./http/journal.ts";
import type { Listener } from "./http/listener.ts";
import { type Host, type HttpContext, handleRequest } from "./http/pipeline.ts";
import { json, route } from "./http/router.ts";
import { type LocalDetails, localDetails } from "./local-details.ts";
import { openMainPort } from "./main-port.ts";
import type { Endpoints, Platform, Service } from "./platform.ts";
import { createAccess } from "./services/authorization/access.ts";
import type { Authority } from "./services/entra/routes.ts";
import { createTokens, type EntraTokens } from "./services/entra/tokens.ts";
import type { Providers } from "./services/resources/providers.ts";
import { cloudToWire } from "./services/resources/wire.ts";
import { createServices } from "./services.ts";
import type { Store } from "./store.ts";

/** A running local Azure. */
export interface Emulator {
  readonly platform: Platform;
  readonly endpoints: Endpoints;
  readonly caFile: string;
  readonly caPem: string;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly control: { readonly url: string; readonly key: string };
  /** Of the seeded service principal; its secret is in `clientSecretFile` (0600). */
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly status: LocalDetails;
  /** Ends listeners, processes and timers. What was acknowledged stays in the home. */
  close(): Promise<void>;
}

/**
 * Starts local Azure in this process: opens its home, listens on 127.0.0.1, takes up what an earlier run left.
 * Throws `local/port-in-use` when the asked port is taken.
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { foundation, secrets } = openFoundation(options);
  const { store, journal, faults, certificates, operations, onBug } = foundation;
  const context: HttpContext = { ...foundation, onTraffic: options.onTraffic };
  const hosts = createHosts(context, certificates);
  // The listener comes first because its port is part of every URL; requests wait until the services are ready.
  const host = deferred<Host>();
  const { listener, identity } = await openMainPort(store, options.port, {
    handle: async (incoming) => handleRequest(context, await host.promise, incoming),
    tls: certificates.issue(["localhost", "127.0.0.1"]),
    onBug,
  });
  const url = `https://localhost:${listener.port}`;
  const { tenantId, subscriptionId } = identity;
  const endpoints: Endpoints = { resourceManager: url, authority: url, tenantId, subscriptionId };
  const lifetimeSeconds = options.tokenLifetimeSeconds ?? 3600;
  const tokens = createTokens({ ...foundation, keyPem: secrets.tokenKeyPem, tenantId, lifetimeSeconds });
  const platform = createPlatform(foundation, { hosts, endpoints, tokens }, options);
  const services = createServices(platform, authorityOf(foundation, secrets, { endpoints, tokens, lifetimeSeconds }));
  const close = closer({ ...services, listener, hosts, operations, store, journal });
  try {
    await startServices(foundation, services.services);
  } catch (error) {
    host.reject(error);
    await close();
    throw error;
  }
  const status = localDetails(foundation, endpoints, { clockMode: options.clockMode, tokenLifetimeSeconds: lifetimeSeconds });
  host.resolve(
    mainHost({ foundation, platform, tokens, status, ...services, controlKey: secrets.control, shutdown: () => options.onShutdown?.() }),
  );
  return {
    platform,
    endpoints,
    caFile: certificates.caFile,
    caPem: certificates.caPem,
    journal,
    faults,
    control: { url, key: secrets.control },
    clientId: status.clientId,
    clientSecretFile: status.clientSecretFile,
    status,
    close,
  };
}

function createPlatform(
  foundation: Foundation,
  opened: Pick<Platform, "hosts" | "endpoints" | "tokens">,
  { onTraffic, isCallerOutside = false, tell }: EmulatorOptions,
): Platform {
  const { store, directory, log } = foundation;
  return {
    ...foundation,
    ...opened,
    access: createAccess(store, directory),
    onTraffic,
    isCallerOutside,
    tell: (line) => {
      log(line);
      tell?.(line);
    },
  };
}

function authorityOf(
  { directory, store }: Foundation,
  { client, user }: HomeSecrets,
  opened: Pick<Authority, "endpoints" | "tokens" | "lifetimeSeconds">,
): Authority {
  return {
    ...opened,
    user: directory.user,
    userPassword: user,
    app: directory.app,
    clientSecret: client,
    refreshTokens: store.collection("refresh-tokens"),
    find: directory.find,
  };
}

async function startServices({ store, home, operations }: Foundation, services: readonly Service[]): Promise<void> {
  requireRoom(store, home.root);
  operations.resume();
  for (const service of services) await service.start?.();
  requireRoom(store, home.root);
}

/** What answers on the main port: the control API, `/metadata/endpoints`, ARM and Entra. */
function mainHost(parts: {
  readonly foundation: Foundation;
  readonly platform: Platform;
  readonly tokens: EntraTokens;
  readonly status: LocalDetails;
  readonly services: readonly Service[];
  readonly providers: Providers;
  readonly controlKey: string;
  shutdown(): void;
}): Host {
  const { foundation, platform, tokens, services, providers, shutdown } = parts;
  const { endpoints } = platform;
  const status = (): object => ({ running: true, pid: process.pid, ...parts.status });
  return createAzureHost({
    ...platform,
    services,
    control: controlRoutes({ ...foundation, key: parts.controlKey, tokens, services, status, shutdown }),
    open: [route("GET", "/metadata/endpoints", "documentation", ({ apiVersion }) => json(200, cloudToWire(endpoints, apiVersion)))],
    isRegistered: (namespace) => providers.find(namespace)?.state !== "Unregistered",
  });
}

/** Without room at its start it would promise what it cannot keep. */
function requireRoom(store: Store, home: string): void {
  if (store.commit()) return;
  throw new KnownError("local/failed", `Local Azure cannot live in ${home}: there is no room left on the disk (ENOSPC).`, {
    hint: "make room there, or set PASSWORDLESS_PG_HOME to a folder with more space",
  });
}

function closer(parts: {
  services: readonly Service[];
  listener: Listener;
  hosts: { closeAll(): Promise<void> };
  operations: { ending(): void; close(): Promise<void> };
  store: Store;
  journal: Journal;
}): () => Promise<void> {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    parts.operations.ending();
    for (const service of parts.services) service.ending?.();
    const results = [await settledOf(parts.listener.close())];
    results.push(await settledOf(parts.operations.close()));
    for (const service of [...parts.services].reverse()) results.push(await settledOf(service.stop?.()));
    results.push(await settledOf(parts.hosts.closeAll()));
    parts.store.commit(); // on a full disk what nobody was told of yet is lost
    await parts.journal.flush();
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  };
  return () => {
    closing ??= close();
    return closing;
  };
}

async function settledOf(work: Promise<void> | undefined): Promise<PromiseSettledResult<void>> {
  const [result] = await Promise.allSettled([work]);
  return result;
}

function deferred<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
