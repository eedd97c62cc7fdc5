import type { Clock } from "../../base/clock.ts";
import { armError, notImplemented } from "../http/arm-error.ts";
import type { Incoming } from "../http/listener.ts";
import type { Admission, Host } from "../http/pipeline.ts";
import { createRouter, json, type Match, type Route } from "../http/router.ts";
import type { Access, Directory, Endpoints, Service, Tokens } from "../platform.ts";
import { requireApiVersion } from "./api-version.ts";
import { armEnvelope } from "./arm-envelope.ts";
import { armHeaders } from "./arm-headers.ts";
import { authenticate } from "./authenticate.ts";
import { requireLinkedRights, requireRight } from "./rights.ts";

/** What the main host stands on. */
export interface AzureHostDependencies {
  readonly endpoints: Endpoints;
  readonly tokens: Tokens;
  readonly access: Access;
  readonly directory: Pick<Directory, "find">;
  /** ARM's services; those with no api-versions are Entra. */
  readonly services: readonly Service[];
  /** `/_local/…`: the control API. Checks its own key. */
  readonly control: readonly Route[];
  /** Answered without a token: `/metadata/endpoints`. */
  readonly open: readonly Route[];
  isRegistered(namespace: string): boolean;
  readonly clock: Clock;
}

/** A route with the service that it belongs to, where it belongs to one. */
interface AzureRoute extends Route {
  readonly service?: Service;
}

/** The main host: ARM, Entra and the control API on one listener, told apart by the first word of the path. */
export function createAzureHost(dependencies: AzureHostDependencies): Host<AzureRoute> {
  const { services, control, open } = dependencies;
  const bound = (isWanted: (service: Service) => boolean): AzureRoute[] =>
    services.filter(isWanted).flatMap((service) => service.routes.map((route) => ({ ...route, service })));
  const arm = createRouter(bound(isArm).map((route) => ({ ...route, body: withEnvelope(route.body) })));
  // Apart from Entra's, whose `{tenant}` would take any first word.
  const own = createRouter<AzureRoute>([...control, ...open]);
  const entra = createRouter(bound((service) => !isArm(service)));
  return {
    name: "azure",
    find: ({ method, url: { pathname } }) =>
      own.find(method, pathname) ?? (isArmPath(pathname) ? arm.find(method, pathname) : entra.find(method, pathname)),
    authorize: (incoming, match) => (isArmPath(incoming.url.pathname) ? authorize(dependencies, incoming, match) : {}),
    fallback: (request) => {
      throw notImplemented(request, "Azure Resource Manager or Entra");
    },
    headers: (incoming): Record<string, string> => (isArmPath(incoming.url.pathname) ? armHeaders(incoming) : {}),
  };
}

function isArm(service: Service): boolean {
  return service.apiVersions.length > 0;
}

function isArmPath(path: string): boolean {
  return /^\/+(subscriptions|tenants|providers)(\/|$)/i.test(path);
}

function withEnvelope(body: Route["body"]): Route["body"] {
  return typeof body === "object" ? { ...armEnvelope, ...body } : body;
}

/** ARM's front door, in its order: who calls, on which subscription, with what right, in which api-version; then is there such a route. */
function authorize(dependencies: AzureHostDependencies, incoming: Incoming, match: Match<AzureRoute> | undefined): Admission {
  const { services, clock } = dependencies;
  const claims = authenticate(dependencies, incoming);
  const path = `/${incoming.url.pathname.split("/").filter(Boolean).join("/")}`;
  requireSubscription(dependencies, path);
  const seen = requireRight(dependencies, claims, incoming.method, path);
  const version = incoming.url.searchParams.get("api-version") ?? "";
  if (version === "") {
    throw armError(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.");
  }
  if (!match) throw notImplemented(incoming, "Azure Resource Manager");
  const { method, service } = match.route;
  if (service) {
    requireApiVersion(service, path, version, clock.now());
    requireRegistered(dependencies, service);
  }
  if (method === "DELETE") return { finish: (response) => withExtensions(services, response, path) };
  if (method === "GET") return seen === "all" ? {} : { finish: (response) => onlySeen(response, seen) };
  return { checkBody: (body) => requireLinkedRights(dependencies, claims, { method: incoming.method, path, body }) };
}

/** ARM deletes extension resources together with the resource they stand on. */
function withExtensions(services: readonly Service[], response: Response, path: string): Response {
  // 202 leaves the resource where it is for now; those of local Azure that carry extensions are deleted at once.
  if (response.status === 200 || response.status === 204) for (const service of services) service.removeExtensions?.(path);
  if (response.status === 202) for (const service of services) service.forgetAccess?.(path);
  return response;
}

async function onlySeen(response: Response, isSeen: (id: string) => boolean): Promise<Response> {
  if (response.status !== 200) return response;
  const body = (await response.json()) as { value?: unknown };
  if (!Array.isArray(body.value)) return json(200, body);
  const value = body.value.filter((item: { id?: unknown }) => typeof item.id !== "string" || isSeen(item.id));
  return json(200, { ...body, value });
}

function requireSubscription({ endpoints }: Pick<AzureHostDependencies, "endpoints">, path: string): void {
  const subscription = /^\/subscriptions\/([^/]+)/i.exec(path)?.[1];
  if (subscription === undefined || subscription.toLowerCase() === endpoints.subscriptionId) return;
  throw armError(404, "SubscriptionNotFound", `The subscription '${subscription}' could not be found.`);
}

function requireRegistered({ isRegistered }: AzureHostDependencies, service: Service): void {
  if (isRegistered(service.namespace)) return;
  throw armError(
    409,
    "MissingSubscriptionRegistration",
    `The subscription is not registered to use namespace '${service.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`,
    {
      fields: {
        details: [
          {
            code: "MissingSubscriptionRegistration",
            target: service.namespace,
            message: `The subscription is not registered to use namespace '${service.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`,
          },
        ],
      },
    },
  );
}
