import type { Platform, Service } from "./platform.ts";
import { createAuthorizationService } from "./services/authorization/service.ts";
import type { Authority } from "./services/entra/routes.ts";
import { createEntraService } from "./services/entra/service.ts";
import { createManagedIdentityService } from "./services/managedidentity/service.ts";
import { createPostgresService } from "./services/postgres/service.ts";
import { createProviders, type Providers } from "./services/resources/providers.ts";
import { createResourcesService } from "./services/resources/service.ts";
import { createServiceLinkerService } from "./services/servicelinker/service.ts";
import { createWebService } from "./services/web/service.ts";

/** The service list of local Azure: one line a service; the later may stand on the earlier. */
export function createServices(
  platform: Platform,
  authority: Authority,
): { readonly services: readonly Service[]; readonly providers: Providers } {
  const services: Service[] = [];
  const all = (): readonly Service[] => services;
  const providers = createProviders(platform.store, all);
  const servers = createPostgresService(platform);
  const sites = createWebService(platform);
  services.push(
    createEntraService(authority),
    createResourcesService(platform, providers, all),
    createAuthorizationService(platform, all),
    servers,
    createManagedIdentityService(platform),
    sites,
    createServiceLinkerService(platform, { sites, servers: servers.registry }),
  );
  return { services, providers };
}
