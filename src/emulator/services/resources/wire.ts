import type { Endpoints } from "../../platform.ts";
import type { ResourceGroup } from "./groups.ts";
import { locations } from "./locations.ts";

/** learn.microsoft.com/rest/api/resources/resource-groups/get (2021-04-01) */
export function groupToWire(group: ResourceGroup): object {
  return {
    id: group.id,
    name: group.name,
    type: "Microsoft.Resources/resourceGroups",
    location: group.location,
    ...(group.tags ? { tags: group.tags } : {}),
    ...(group.managedBy ? { managedBy: group.managedBy } : {}),
    properties: { provisioningState: group.state },
  };
}

/** learn.microsoft.com/rest/api/resources/subscriptions/get (2022-12-01) */
export function subscriptionToWire({ subscriptionId, tenantId }: Endpoints): object {
  return {
    id: `/subscriptions/${subscriptionId}`,
    authorizationSource: "RoleBased",
    managedByTenants: [],
    subscriptionId,
    tenantId,
    displayName: "Local Azure",
    state: "Enabled",
    subscriptionPolicies: { locationPlacementId: "Internal_2014-09-01", quotaId: "Internal_2014-09-01", spendingLimit: "Off" },
  };
}

/** learn.microsoft.com/rest/api/resources/tenants/list (2022-12-01) */
export function tenantToWire({ tenantId }: Endpoints): object {
  return {
    id: `/tenants/${tenantId}`,
    tenantId,
    countryCode: "US",
    displayName: "Local Azure",
    domains: ["local.example"],
    tenantCategory: "Home",
    defaultDomain: "local.example",
    tenantType: "AAD",
  };
}

/** learn.microsoft.com/rest/api/resources/subscriptions/list-locations (2022-12-01) */
export function locationsToWire({ subscriptionId }: Endpoints): object {
  return {
    value: locations.map(({ name, displayName }) => ({
      id: `/subscriptions/${subscriptionId}/locations/${name}`,
      name,
      type: "Region",
      displayName,
      regionalDisplayName: displayName,
      metadata: { regionType: "Physical", regionCategory: "Recommended", geographyGroup: "Local" },
    })),
  };
}

/** The document from which other tools learn a cloud's endpoints (`/metadata/endpoints`, 2022-09-01); Terraform and `az cloud register` read it. */
export function cloudToWire({ resourceManager, authority, tenantId }: Endpoints): object {
  return {
    portal: resourceManager,
    authentication: {
      loginEndpoint: `${authority}/`,
      audiences: ["https://management.core.windows.net/", "https://management.azure.com/"],
      tenant: tenantId,
      identityProvider: "AAD",
    },
    media: "https://rest.media.azure.net",
    graphAudience: "https://graph.windows.net/",
    graph: "https://graph.windows.net/",
    name: "LocalAzure",
    suffixes: {
      storage: "core.windows.net",
      sqlServerHostname: "database.windows.net",
      keyVaultDns: "vault.azure.net",
      postgresqlServerEndpoint: "postgres.database.azure.com",
      mysqlServerEndpoint: "mysql.database.azure.com",
    },
    batch: "https://batch.core.windows.net/",
    resourceManager: `${resourceManager}/`,
    vmImageAliasDoc: "",
    activeDirectoryDataLake: "https://datalake.azure.net/",
    sqlManagement: "https://management.core.windows.net:8443/",
    microsoftGraphResourceId: "https://graph.microsoft.com/",
    gallery: "https://gallery.azure.com/",
  };
}
