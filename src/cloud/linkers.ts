import { KnownError } from "../base/errors.ts";
import { poll } from "../base/poll.ts";
import { retry } from "../base/retry.ts";
import type { Arm, PlainAnswer } from "./arm.ts";
import { accessToken } from "./credential.ts";
import { type LinkerValidation, toValidation, type WireValidation } from "./linker-validation.ts";
import { lookInterval, type Poller } from "./operations.ts";

/** A Service Connector connection of a web app to a database. */
export interface Linker {
  readonly name: string;
  /** Resource ID of the database. */
  readonly targetId: string;
  readonly authType: string;
  /** Of the user-assigned identity, where it uses one. */
  readonly clientId?: string;
  /** Database role the settings name. */
  readonly userName?: string;
  /** `python`, `nodejs`, … */
  readonly clientType: string;
  /**
   * Each write of it opens the server's firewall to Azure ("Default is enable", specification 2024-04-01). `false` also where the answer has
   * no `publicNetworkSolution` at all, as for a linker that an older api-version wrote (inferred): that it acts is seen in the firewall only.
   */
  readonly opensFirewall: boolean;
  readonly provisioningState: string;
}

interface DesiredLinker {
  /** Resource ID of the database. */
  readonly targetId: string;
  readonly userName: string;
  readonly clientType: string;
  /** The server's firewall stays as it is (`optOut`); else Service Connector lets Azure's own traffic in. */
  readonly leavesFirewall?: boolean;
  /** The user-assigned identity to use instead of the system-assigned one. */
  readonly identity?: { readonly clientId: string; readonly subscriptionId: string };
}

/** Microsoft.ServiceLinker, api-version 2024-04-01: the SDK drops `userName`, so the JSON is ours. */
export interface Linkers {
  get(siteId: string, name: string): Promise<Linker | undefined>;
  /** As `get`, after waiting for the end of an operation that is at work on it (`isInTransition`). */
  settled(siteId: string, name: string): Promise<Linker | undefined>;
  list(siteId: string): Promise<Linker[]>;
  /** Creates or replaces. Restarts the app. */
  put(siteId: string, name: string, desired: DesiredLinker): Promise<Linker>;
  delete(siteId: string, name: string): Promise<void>;
  /** What Service Connector checks; never a login as the app. */
  validate(siteId: string, name: string): Promise<LinkerValidation>;
  listConfigurations(siteId: string, name: string): Promise<{ readonly name: string; readonly value: string }[]>;
}

/** The newest stable version; 2022-05-01 refuses `userName`, and SDK 2.1.0 drops it. */
const API_VERSION = "api-version=2024-04-01";
/** Recorded: 4 to 48 s for a write, 3 to 6 s for a validation. */
const DEADLINE_MS = 10 * 60_000;

interface WireLinker {
  readonly name?: string;
  readonly properties?: {
    readonly targetService?: { readonly id?: string } | null;
    readonly authInfo?: { readonly authType?: string; readonly userName?: string | null; readonly clientId?: string | null } | null;
    readonly clientType?: string | null;
    readonly publicNetworkSolution?: { readonly action?: string | null } | null;
    readonly provisioningState?: string | null;
  };
}

function toLinker({ name, properties }: WireLinker): Linker {
  const { userName, clientId } = properties?.authInfo ?? {};
  return {
    name: name ?? "",
    targetId: properties?.targetService?.id ?? "",
    authType: properties?.authInfo?.authType ?? "",
    ...(userName && { userName }),
    ...(clientId && { clientId }),
    clientType: properties?.clientType ?? "",
    opensFirewall: !!properties?.publicNetworkSolution && properties.publicNetworkSolution.action?.toLowerCase() !== "optout",
    provisioningState: properties?.provisioningState ?? "",
  };
}

interface StatusDocument {
  readonly status?: string;
  readonly properties?: WireValidation | null;
}

/** Service Connector may not see a database that ARM shows already: its making is not quite over (met after killed runs). */
const NEW_TARGET_MS = 60_000;

const SETTLED = new Set(["", "Succeeded", "Failed", "Canceled"]);

/** Service Connector is still at work on it, for an earlier run that was killed or for another run. */
export function isInTransition({ provisioningState }: Linker): boolean {
  return !SETTLED.has(provisioningState);
}

/** `{scope}/providers/Microsoft.ServiceLinker/linkers`, written by hand: see `Linkers`. */
export function linkers(arm: Arm): Linkers {
  const { clock, credential, environment, onProgress, signal } = arm.context;
  const path = (siteId: string, name?: string, action?: string): string => {
    const linker = [name, action].filter((part) => part !== undefined).map((part) => `/${encodeURIComponent(part)}`);
    return `/${siteId.replace(/^\/+/, "")}/providers/Microsoft.ServiceLinker/linkers${linker.join("")}?${API_VERSION}`;
  };

  /** Service Connector acts on the database server in the caller's name: the CLI sends this for PostgreSQL targets, on polls too. */
  const userToken = async (): Promise<Readonly<Record<string, string>>> => ({
    "x-ms-serviceconnector-user-token": (await accessToken(credential, environment.scopes.resourceManager, signal)).token,
  });

  /** Follows the status URL byte for byte: it is signed, and its api-version is not ours. */
  const operation = async (start: () => Promise<PlainAnswer>): Promise<Poller<StatusDocument>> => {
    const answer = await start();
    const url = answer.header("azure-asyncoperation") ?? answer.header("location");
    let status: StatusDocument = url === undefined ? { status: "Succeeded" } : { status: "Accepted" };
    const isDone = () => status.status === "Succeeded";
    return {
      isDone,
      result: () => status,
      poll: async () => {
        if (url === undefined) return;
        const { body } = await arm.request("GET", url, undefined, await userToken());
        status = (body as StatusDocument | null | undefined) ?? { status: "Succeeded" };
        if (["Failed", "Canceled", "Cancelled"].includes(status.status ?? "")) {
          throw Object.assign(new Error("Service Connector gave no reason"), { statusCode: 200, code: status.status });
        }
      },
    };
  };

  const read = (siteId: string, name: string) =>
    arm.orUndefined(`read the connection ${name}`, async () => toLinker((await arm.request("GET", path(siteId, name))).body as WireLinker));

  return {
    get: read,
    settled: (siteId, name) =>
      poll(
        () => read(siteId, name),
        (linker) => !linker || !isInTransition(linker),
        {
          clock,
          signal,
          deadlineMs: DEADLINE_MS,
          intervalMs: lookInterval,
          onWait: (linker) => onProgress?.(`waiting for the connection ${name}, which is ${linker?.provisioningState.toLowerCase()}`),
          late: (linker) =>
            new KnownError("azure/timeout", `the connection ${name} is still ${linker?.provisioningState.toLowerCase()}`, {
              hint: "run the command again in some minutes",
            }),
        },
      ),
    list: (siteId) =>
      arm.call("list the connections of the web app", async () => {
        const found: Linker[] = [];
        let next: string | undefined = path(siteId);
        while (next) {
          const page = (await arm.request("GET", next)).body as { value?: readonly WireLinker[]; nextLink?: string | null };
          found.push(...(page.value ?? []).map(toLinker));
          next = page.nextLink ?? undefined;
        }
        return found;
      }),
    put: async (siteId, name, { targetId, userName, clientType, leavesFirewall, identity }) => {
      const authInfo = identity
        ? { authType: "userAssignedIdentity", clientId: identity.clientId, subscriptionId: identity.subscriptionId, userName }
        : { authType: "systemAssignedIdentity", userName };
      const body = {
        properties: {
          targetService: { type: "AzureResource", id: targetId },
          authInfo,
          clientType,
          secretStore: {},
          scope: null,
          configurationInfo: {},
          publicNetworkSolution: leavesFirewall ? { action: "optOut" } : {},
        },
      };
      const begin = () => operation(async () => arm.request("PUT", path(siteId, name), body, await userToken()));
      await retry(() => arm.operate(`write the connection ${name}`, begin, { deadlineMs: DEADLINE_MS }), {
        clock,
        signal,
        pauseMs: ({ error, elapsedMs }) =>
          error instanceof KnownError && error.code === "azure/not-found" && elapsedMs < NEW_TARGET_MS ? 2_000 : undefined,
      });
      const linker = await read(siteId, name);
      if (!linker) throw new KnownError("azure/failed", `the connection ${name} was written but Azure does not show it`);
      return linker;
    },
    delete: async (siteId, name) => {
      const what = `delete the connection ${name}`;
      const begin = () => operation(async () => arm.request("DELETE", path(siteId, name), undefined, await userToken()));
      await arm.orUndefined(what, () => arm.operate(what, begin, { deadlineMs: DEADLINE_MS }));
    },
    validate: async (siteId, name) => {
      const begin = () => operation(async () => arm.request("POST", path(siteId, name, "validateLinker"), undefined, await userToken()));
      const status = await arm.operate(`validate the connection ${name}`, begin, { deadlineMs: DEADLINE_MS });
      return toValidation(status.properties);
    },
    listConfigurations: (siteId, name) =>
      arm.call(`read the settings of the connection ${name}`, async () => {
        const { body } = await arm.request("POST", path(siteId, name, "listConfigurations"));
        const { configurations } = body as { configurations?: readonly { readonly name?: string; readonly value?: string }[] };
        return (configurations ?? []).map(({ name: key, value }) => ({ name: key ?? "", value: value ?? "" }));
      }),
  };
}
