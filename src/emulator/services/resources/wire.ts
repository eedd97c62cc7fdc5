import { audiences, type Endpoints } from "../../platform.ts";
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

/**
 * The document from which other tools learn a cloud's endpoints, `/metadata/endpoints`: one object in 2018-05-01 and since 2022-09-01
 * (`az cloud register`, Terraform), a list in between (az's own list of clouds), an older object in 2015-01-01 (az before 2.73).
 * Source: azure-cli `core/cloud.py` and `command_modules/cloud/custom.py` of 2.70 and 2.91. `appServiceResourceId` and `ossrdbmsResourceId`
 * are read there, though public Azure does not give them.
 */
export function cloudToWire(endpoints: Endpoints, apiVersion: string): unknown {
  if (apiVersion < "2018") return oldCloudToWire(endpoints);
  const cloud = newCloudToWire(endpoints);
  return apiVersion >= "2019" && apiVersion < "2022" ? [cloud] : cloud;
}

const audienceUrls = ["https://management.core.windows.net/", "https://management.azure.com/"];

function oldCloudToWire({ resourceManager, authority }: Endpoints): object {
  return {
    galleryEndpoint: "https://gallery.azure.com/",
    graphEndpoint: "https://graph.windows.net/",
    portalEndpoint: resourceManager,
    authentication: { loginEndpoint: `${authority}/`, audiences: audienceUrls },
  };
}

function newCloudToWire({ resourceManager, authority, tenantId }: Endpoints): object {
  return {
    portal: resourceManager,
    authentication: { loginEndpoint: `${authority}/`, audiences: audienceUrls, tenant: tenantId, identityProvider: "AAD" },
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
    appServiceResourceId: audiences.appService[0],
    ossrdbmsResourceId: audiences.postgres[0],
  };
}
