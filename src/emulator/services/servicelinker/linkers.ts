import { armError } from "../../http/arm-error.ts";
import type { Operation } from "../../operations.ts";
import type { FlexibleServerRegistry, Platform, SiteView } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { defineLinkerWork, type LinkerDependencies, type LinkerPayload, setState, sourceNotFound } from "./linker-work.ts";
import { databaseOf, type Linker } from "./model.ts";
import { settingsFor } from "./settings.ts";
import type { LinkerRequest } from "./wire.ts";

/** Which linker, on which source. */
export interface LinkerAddress {
  readonly sourceId: string;
  readonly name: string;
}

/** Linkers and what the service does for them. */
export interface Linkers {
  get(address: LinkerAddress): Linker | undefined;
  list(sourceId: string): readonly Linker[];
  /** Stores the linker as `Accepted` and begins the work. Throws 404 for an absent source, 409 while it is being worked on. */
  put(address: LinkerAddress, wanted: LinkerRequest, creator: Creator, apiVersion: string): { linker: Linker; operation: Operation };
  delete(linker: Linker, apiVersion: string): Operation;
  validate(linker: Linker, apiVersion: string): Operation;
  /** Forgets the linkers on a resource and below it; the source is going, so nothing is taken back. */
  removeBelow(id: string): void;
}

export interface Creator {
  readonly name: string;
  readonly type: "User" | "Application";
}

/** Recorded durations in milliseconds (server's own start to end). */
const PUT_MS = 10_000;
const DELETE_MS = 3_200;
const VALIDATE_MS = 3_800;

export function createLinkers(platform: Platform, dependencies: LinkerDependencies): Linkers {
  const { operations } = platform;
  const { sites, servers } = dependencies;
  const rows: Collection<Linker> = platform.store.collection("linkers");
  defineLinkerWork({ ...dependencies, platform, rows });

  const requireSource = (sourceId: string): SiteView => {
    const site = sites.find(sourceId);
    if (site) return site;
    throw sourceNotFound(sourceId);
  };
  const begin = (kind: string, linker: Linker, apiVersion: string, recordedMs: number): Operation => {
    if (operations.running(linker.id).some((running) => running.kind !== "servicelinker/validate")) {
      throw armError(409, "Conflict", `Another operation on the linker '${linker.name}' is in progress.`); // code and text inferred
    }
    const payload: LinkerPayload = { apiVersion };
    return operations.accept({
      kind,
      name: kind,
      resourceId: linker.id,
      location: linker.location,
      payload,
      recordedMs,
      retryAfterSeconds: 0,
      // Done at the first poll: with no hint (none recorded) az waits 30 s before its second.
      polls: 0,
    });
  };

  return {
    get: ({ sourceId, name }) => {
      requireSource(sourceId);
      return rows.get(linkerId(sourceId, name));
    },
    list: (sourceId) => {
      requireSource(sourceId);
      return rows.list(linkerId(sourceId, ""));
    },
    put: ({ sourceId, name }, { properties, secret }, creator, apiVersion) => {
      const site = requireSource(sourceId);
      const before = rows.get(linkerId(site.id, name));
      const others = rows.list(linkerId(site.id, "")).filter(({ id }) => id !== before?.id);
      const isSecond = before?.isSecond ?? others.some((other) => !other.isSecond);
      const now = new Date(platform.clock.now()).toISOString();
      const draft: Linker = {
        id: linkerId(site.id, name),
        name,
        createdBy: creator.name,
        createdByType: creator.type,
        createdAt: now,
        written: [],
        ...before,
        sourceId: site.id,
        location: site.location,
        provisioningState: "Accepted",
        properties,
        isSecond,
        settings: [],
        modifiedAt: now,
      };
      const linker = { ...draft, settings: settingsOf(draft, servers, secret) };
      const operation = begin("servicelinker/put", linker, apiVersion, PUT_MS);
      rows.set(linker.id, linker);
      return { linker, operation };
    },
    delete: (linker, apiVersion) => {
      const operation = begin("servicelinker/delete", linker, apiVersion, DELETE_MS);
      setState(rows, linker.id, "Deleting");
      return operation;
    },
    validate: (linker, apiVersion) => begin("servicelinker/validate", linker, apiVersion, VALIDATE_MS),
    removeBelow: (below) => {
      for (const { id } of rows.list(`${below}/`)) rows.delete(id);
    },
  };
}

function linkerId(sourceId: string, name: string): string {
  return `${sourceId}/providers/Microsoft.ServiceLinker/linkers/${name}`;
}

function settingsOf(linker: Linker, servers: FlexibleServerRegistry, secret: string | undefined): Linker["settings"] {
  const { authInfo, clientType, configurationInfo, targetService } = linker.properties;
  const parsed = databaseOf(targetService.id);
  const server = parsed && servers.find(parsed.serverId);
  if (!server) return []; // the operation will say that the target is not found
  return settingsFor({
    name: linker.isSecond ? linker.name : undefined,
    clientType,
    host: server.host,
    port: server.port,
    database: parsed.database,
    user: authInfo.authType === "secret" ? authInfo.name : (authInfo.userName ?? undefined),
    clientId: authInfo.authType === "userAssignedIdentity" ? authInfo.clientId : undefined,
    password: secret,
    configuration: configurationInfo,
  });
}
