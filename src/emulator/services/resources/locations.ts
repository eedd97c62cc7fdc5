import { normalizeLocation } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";

/** The regions local Azure knows: name and display name, as ARM's subscription location list gives them. */
export const locations: readonly { readonly name: string; readonly displayName: string }[] = [
  { name: "eastus", displayName: "East US" },
  { name: "eastus2", displayName: "East US 2" },
  { name: "centralus", displayName: "Central US" },
  { name: "southcentralus", displayName: "South Central US" },
  { name: "northcentralus", displayName: "North Central US" },
  { name: "westus", displayName: "West US" },
  { name: "westus2", displayName: "West US 2" },
  { name: "westus3", displayName: "West US 3" },
  { name: "canadacentral", displayName: "Canada Central" },
  { name: "brazilsouth", displayName: "Brazil South" },
  { name: "northeurope", displayName: "North Europe" },
  { name: "westeurope", displayName: "West Europe" },
  { name: "uksouth", displayName: "UK South" },
  { name: "francecentral", displayName: "France Central" },
  { name: "germanywestcentral", displayName: "Germany West Central" },
  { name: "switzerlandnorth", displayName: "Switzerland North" },
  { name: "swedencentral", displayName: "Sweden Central" },
  { name: "norwayeast", displayName: "Norway East" },
  { name: "italynorth", displayName: "Italy North" },
  { name: "spaincentral", displayName: "Spain Central" },
  { name: "polandcentral", displayName: "Poland Central" },
  { name: "uaenorth", displayName: "UAE North" },
  { name: "southafricanorth", displayName: "South Africa North" },
  { name: "centralindia", displayName: "Central India" },
  { name: "southeastasia", displayName: "Southeast Asia" },
  { name: "eastasia", displayName: "East Asia" },
  { name: "japaneast", displayName: "Japan East" },
  { name: "koreacentral", displayName: "Korea Central" },
  { name: "australiaeast", displayName: "Australia East" },
];

/** By name or display name; `undefined` for a region local Azure does not know. */
export function findLocation(location: string): { readonly name: string; readonly displayName: string } | undefined {
  return locations.find(({ name }) => name === normalizeLocation(location));
}

/** Throws ARM's 400 for a resource in a region that does not exist (learn.microsoft.com, "Resolve errors for resource type not available"). */
export function requireLocation(location: string, resourceType: string): void {
  if (findLocation(location)) return;
  const names = locations.map(({ name }) => name).join(",");
  throw armError(
    400,
    "LocationNotAvailableForResourceType",
    `The provided location '${location}' is not available for resource type '${resourceType}'. List of available regions for the resource type is '${names}'.`,
  );
}

/** Throws ARM's 400 for a question about a region that does not exist. */
export function requireProviderLocation(location: string, resourceType: string, apiVersion: string): void {
  if (findLocation(location)) return;
  const names = locations.map((known) => known.name).join(", ");
  throw armError(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for location '${location}' and API version '${apiVersion}' for type '${resourceType}'. The supported locations are '${names}'.`,
  );
}
