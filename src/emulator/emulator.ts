import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { createAzureHost } from "./arm/azure-host.ts";
import { type ClockMode, formatClockMode } from "./clock-mode.ts";
import { controlRoutes } from "./control.ts";
import { homeFiles, keptSecret, keptText, prepareHome } from "./home.ts";
import { openCertificates } from "./http/certificates.ts";
import { createFaults, type Faults } from "./http/faults.ts";
import { createHosts } from "./http/hosts.ts";
import { type Journal, openJournal } from "./http/journal.ts";
import { type Incoming, type Listener, listen } from "./http/listener.ts";
import { type Host, type HttpContext, handleRequest } from "./http/pipeline.ts";
import { json, route } from "./http/router.ts";
import type { OnTraffic } from "./http/traffic.ts";
import { createOperations } from "./operations.ts";
import type { Endpoints, Platform, Service } from "./platform.ts";
import { createAccess } from "./services/authorization/access.ts";
import { createAuthorizationService } from "./services/authorization/service.ts";
import { openDirectory } from "./services/entra/directory.ts";
import { createEntraService } from "./services/entra/service.ts";
import { createTokens, isSigningKey, newSigningKeyPem } from "./services/entra/tokens.ts";
import { createManagedIdentityService } from "./services/managedidentity/service.ts";
import { createPostgresService } from "./services/postgres/service.ts";
import { createProviders, type Providers } from "./services/resources/providers.ts";
import { createResourcesService } from "./services/resources/service.ts";
import { cloudToWire } from "./services/resources/wire.ts";
import { createServiceLinkerService } from "./services/servicelinker/service.ts";
import { createWebService } from "./services/web/service.ts";
import { createStore, type Store } from "./store.ts";

export interface EmulatorOptions {
  /** Made when absent. One running local Azure a home. */
  readonly homeFolder: string;
  /** `fast` by default. */
  readonly clockMode?: ClockMode;
  /** The main port. By default the one of the last time, else any free one. */
  readonly port?: number;
  /** 3600 by default. */
  readonly tokenLifetimeSeconds?: number;
  log?(line: string): void;
  /** What is not as it was and somebody should do something about; it stands in the log too. */
  tell?(line: string): void;
  /** For tests: told of every call before and after its work. */
  readonly onTraffic?: OnTraffic;
  /** For tests: loopback addresses count as the internet, so that PostgreSQL clients need a firewall rule of their own. Apps do, too. */
  readonly isCallerOutside?: boolean;
  /** Asked for by the control API; the owner of the process ends it. */
  onShutdown?(): void;
}

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

/** What a client needs to talk to this local Azure. Holds no secret, only the names of the files that do. */
export interface LocalDetails {
  readonly home: string;
  readonly arm: string;
  readonly authority: string;
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly userPrincipalName: string;
  readonly userPasswordFile: string;
  readonly caFile: string;
  readonly caBundleFile: string;
  readonly controlKeyFile: string;
  /** `fast`, or `recorded:SCALE`. */
  readonly pace: string;
  /** Absent in what an older daemon told of itself. */
  readonly tokenLifetimeSeconds?: number;
}

interface Identity {
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly port?: number;
}

/**
 * Starts local Azure in this process: opens its home, listens on 127.0.0.1, takes up what an earlier run left.
 * Throws `local/port-in-use` when the asked port is taken.
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const home = prepareHome(options.homeFolder);
  const files = homeFiles(home.root);
  const clockMode: ClockMode = options.clockMode ?? { kind: "fast" };
  const log = options.log ?? (() => undefined);
  const onBug = (error: unknown): void => log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  const key = (name: string): string => join(home.keys, name);
  const clock = systemClock;

  const onRemade = (file: string): void =>
    log(`${file} was damaged, too short or too old: it is made anew, and what was copied from it is void`);
  const secret = (name: string): string => keptSecret(key(name), onRemade);

  const store = createStore(files.state);
  const operations = createOperations({ store, clock, clockMode, signingSecret: secret("signing-secret"), onBug });
  const journal = openJournal(files.journal);
  const faults = createFaults();
  const { onTraffic, isCallerOutside = false } = options;
  const context: HttpContext = { clock, store, operations, journal, faults, onTraffic, onBug };
  const certificates = openCertificates(home.keys, files, onRemade);
  const hosts = createHosts(context, certificates);
  const directory = openDirectory(store);
  const secrets = {
    client: secret("client-secret"),
    user: secret("user-password"),
    control: secret("control-key"),
  };

  // The listener comes first because its port is part of every URL; requests wait until the services are ready.
  const host = deferred<Host>();
  const { listener, identity } = await openMainPort(
    store,
    options.port,
    async (incoming) => handleRequest(context, await host.promise, incoming),
    {
      tls: certificates.issue(["localhost", "127.0.0.1"]),
      onBug,
    },
  );
  const base = `https://localhost:${listener.port}`;
  const endpoints: Endpoints = {
    resourceManager: base,
    authority: base,
    tenantId: identity.tenantId,
    subscriptionId: identity.subscriptionId,
  };
  const lifetimeSeconds = options.tokenLifetimeSeconds ?? 3600;
  const tokens = createTokens({
    keyPem: keptText(key("token.key"), { make: newSigningKeyPem, isFit: isSigningKey, onRemade }),
    tenantId: identity.tenantId,
    directory,
    clock,
    lifetimeSeconds,
  });
  const access = createAccess(store, directory);
  const platform: Platform = {
    home,
    clock,
    store,
    operations,
    directory,
    tokens,
    access,
    certificates,
    endpoints,
    hosts,
    faults,
    onTraffic,
    isCallerOutside,
    log,
    tell: (line) => {
      log(line);
      options.tell?.(line);
    },
  };

  const details: LocalDetails = {
    home: home.root,
    arm: base,
    authority: base,
    tenantId: identity.tenantId,
    subscriptionId: identity.subscriptionId,
    clientId: directory.app.appId ?? "",
    clientSecretFile: key("client-secret"),
    userPrincipalName: directory.user.userPrincipalName ?? "",
    userPasswordFile: key("user-password"),
    caFile: certificates.caFile,
    caBundleFile: certificates.bundleFile,
    controlKeyFile: key("control-key"),
    pace: formatClockMode(clockMode),
    tokenLifetimeSeconds: lifetimeSeconds,
  };

  const services: Service[] = [];
  const providers = createProviders(store, () => services);
  services.push(
    createEntraService({
      endpoints,
      tokens,
      user: directory.user,
      userPassword: secrets.user,
      app: directory.app,
      clientSecret: secrets.client,
      lifetimeSeconds,
      refreshTokens: store.collection("refresh-tokens"),
      find: directory.find,
    }),
    ...armServices(platform, providers, () => services),
  );

  const close = closer({ services, listener, hosts, operations, store, journal });
  try {
    keep(store, home.root);
    operations.resume();
    for (const service of services) await service.start?.();
    keep(store, home.root);
  } catch (error) {
    host.reject(error);
    await close();
    throw error;
  }
  const control = controlRoutes({
    key: secrets.control,
    journal,
    faults,
    directory,
    tokens,
    services,
    status: () => ({ running: true, pid: process.pid, ...details }),
    shutdown: () => options.onShutdown?.(),
  });
  const open = [route("GET", "/metadata/endpoints", "documentation", ({ apiVersion }) => json(200, cloudToWire(endpoints, apiVersion)))];
  const isRegistered = (namespace: string): boolean => providers.find(namespace)?.state !== "Unregistered";
  host.resolve(createAzureHost({ endpoints, tokens, access, directory, services, control, open, isRegistered, clock }));

  return {
    platform,
    endpoints,
    caFile: certificates.caFile,
    caPem: certificates.caPem,
    journal,
    faults,
    control: { url: base, key: secrets.control },
    clientId: details.clientId,
    clientSecretFile: details.clientSecretFile,
    status: details,
    close,
  };
}

/** Without room at its start it would promise what it cannot keep. */
function keep(store: Store, home: string): void {
  if (store.commit()) return;
  throw new KnownError("local/failed", `Local Azure cannot live in ${home}: there is no room left on the disk (ENOSPC).`, {
    hint: "make room there, or set PASSWORDLESS_PG_HOME to a folder with more space",
  });
}

/** The service list of local Azure: one line a service; the later may stand on the earlier. */
function armServices(platform: Platform, providers: Providers, all: () => readonly Service[]): readonly Service[] {
  const resources = createResourcesService(platform, providers, all);
  const servers = createPostgresService(platform);
  const sites = createWebService(platform);
  return [
    resources,
    createAuthorizationService(platform, all),
    servers,
    createManagedIdentityService(platform),
    sites,
    createServiceLinkerService(platform, { sites, servers: servers.registry }),
  ];
}

async function openMainPort(
  store: Store,
  wantedPort: number | undefined,
  handle: (incoming: Incoming) => ReturnType<typeof handleRequest>,
  edge: { tls: { key: string; cert: string }; onBug(error: unknown): void },
): Promise<{ listener: Listener; identity: Identity }> {
  const kept = store.collection<Identity>("identity");
  const identity = kept.get("local") ?? { tenantId: randomUUID(), subscriptionId: randomUUID() };
  const port = wantedPort ?? identity.port;
  try {
    const listener = await listen({ handle, ...edge, ...(port === undefined ? {} : { port }), isPortFixed: wantedPort !== undefined });
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
