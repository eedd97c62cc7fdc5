import type { Operation } from "../../operations.ts";
import type { Administrator, Database, FirewallRule, FlexibleServer } from "./model.ts";
import { VERSIONS } from "./model.ts";
import type { Parameter } from "./parameters.ts";
import { computeSize, locationDisplayName, offeredSizes, storageSteps } from "./sizes.ts";

export const TYPE = "Microsoft.DBforPostgreSQL/flexibleServers";

/**
 * Recorded: 2026-01-01-preview (GET of a ready server), older shapes 2021-06-01 to 2024-11-01-preview. Not recorded: the body while a server is created.
 * https://learn.microsoft.com/rest/api/postgresql/servers/get
 */
export function serverToWire(server: FlexibleServer, apiVersion: string, minorVersion: string): object {
  const step = storageSteps.find((entry) => entry.sizeGb === server.storage.sizeGb);
  const isModern = apiVersion >= "2024";
  const hasEntra = apiVersion >= "2022-12-01";
  return {
    sku: server.sku,
    systemData: { createdAt: server.createdAt },
    properties: {
      ...(apiVersion >= "2022-12-01" ? { dataEncryption: { type: "SystemManaged" } } : {}),
      ...(isModern ? { replica: { role: "Primary", capacity: 6 } } : {}),
      storage: {
        ...(isModern ? { type: "", iops: step?.iops ?? 120, tier: step?.tier ?? "P4" } : {}),
        storageSizeGB: server.storage.sizeGb,
        ...(apiVersion >= "2023" ? { autoGrow: server.storage.autoGrow } : {}),
      },
      network: { publicNetworkAccess: server.publicNetworkAccess },
      ...(apiVersion >= "2023-06" ? { privateEndpointConnections: [] } : {}),
      ...(hasEntra ? { authConfig: authToWire(server) } : {}),
      ...(server.address ? { fullyQualifiedDomainName: server.address } : {}),
      version: server.version,
      minorVersion,
      ...(server.administratorLogin ? { administratorLogin: server.administratorLogin } : {}),
      state: server.state,
      availabilityZone: server.availabilityZone,
      backup: server.backup,
      highAvailability: {
        mode: server.highAvailability,
        state: server.highAvailability === "Disabled" ? "NotEnabled" : "Healthy",
      },
      maintenanceWindow: server.maintenanceWindow,
      replicationRole: "Primary",
      replicaCapacity: isModern ? 6 : 5,
    },
    location: locationDisplayName(server.location),
    ...(server.tags ? { tags: server.tags } : {}),
    id: server.id,
    name: server.name,
    type: TYPE,
  };
}

function authToWire({ auth }: FlexibleServer): object {
  const { tenantId, ...modes } = auth;
  return auth.activeDirectoryAuth === "Enabled" ? { ...modes, tenantId } : modes; // recorded: the key is absent while Entra is off
}

/** Recorded (2022-12-01): `name` is the principal's name, not the last segment of the ID. */
export function administratorToWire(administrator: Administrator): object {
  const { id, principalType, principalName, objectId, tenantId } = administrator;
  return { properties: { principalType, principalName, objectId, tenantId }, id, name: principalName, type: `${TYPE}/administrators` };
}

/** Recorded (2021-06-01). */
export function firewallRuleToWire({ id, name, startIpAddress, endIpAddress }: FirewallRule): object {
  return { properties: { startIpAddress, endIpAddress }, id, name, type: `${TYPE}/firewallRules` };
}

/** Recorded (2023-03-01-preview): the charset comes back in capitals. */
export function databaseToWire({ id, name, charset, collation }: Database): object {
  return { properties: { charset, collation }, id, name, type: `${TYPE}/databases` };
}

export function parameterToWire(server: FlexibleServer, { name, ...properties }: Parameter): object {
  return { properties, id: `${server.id}/configurations/${name}`, name, type: `${TYPE}/configurations` };
}

/** Recorded, all versions: the answer to every write. */
export function acceptedBody(operation: Operation): object {
  return { operation: operation.name, startTime: operation.startTime };
}

/** Recorded, all versions: no `properties`, no `endTime`. */
export function pollBody(operation: Operation): object {
  const { id, status, startTime, error } = operation;
  return { name: id, status, startTime, ...(error ? { error } : {}) };
}

/** Shape of 2021-06-01 to 2022-12-01 (azure-mgmt-rdbms 10): versions and sizes below each edition, true and false for the switches. */
export function oldCapabilitiesToWire(): object {
  const supportedStorageEditions = [
    {
      name: "ManagedDisk",
      supportedStorageMB: storageSteps.map((step) => ({
        supportedIops: step.iops,
        storageSizeMB: step.sizeGb * 1024,
        status: "Available",
      })),
      status: "Available",
    },
  ];
  const sizesOf = (tier: string): readonly object[] =>
    offeredSizes.flatMap((name) => {
      const size = computeSize(name);
      if (size?.tier !== tier) return [];
      const supportedMemoryPerVcoreMB = (size.memoryGb / size.vCores) * 1024;
      return { name, vCores: size.vCores, supportedIops: size.iops, supportedMemoryPerVcoreMB, status: "Available" };
    });
  return {
    zone: "none",
    geoBackupSupported: true,
    zoneRedundantHaSupported: true,
    zoneRedundantHaAndGeoBackupSupported: true,
    supportedFlexibleServerEditions: ["Burstable", "GeneralPurpose", "MemoryOptimized"].map((name) => ({
      name,
      supportedStorageEditions,
      supportedServerVersions: VERSIONS.map((version) => ({ name: version, supportedVcores: sizesOf(name), status: "Available" })),
      status: "Available",
    })),
    supportedHyperscaleNodeEditions: [],
    status: "Available",
  };
}

/** Shape of 2023-03-01-preview and later, shortened to what clients choose by. https://learn.microsoft.com/rest/api/postgresql/capabilities-by-location/list */
export function capabilitiesToWire(): object {
  const storage = {
    name: "ManagedDisk",
    defaultStorageSizeMb: 32_768,
    supportedStorageMb: storageSteps.map((step) => ({
      storageSizeMb: step.sizeGb * 1024,
      supportedIops: step.iops,
      defaultIopsTier: step.tier,
      supportedIopsTiers: [{ name: step.tier, iops: step.iops }],
    })),
  };
  const edition = (name: string, defaultSkuName: string): object => ({
    name,
    defaultSkuName,
    supportedStorageEditions: [storage],
    supportedServerSkus: offeredSizes.flatMap((sku) => {
      const size = computeSize(sku);
      if (size?.tier !== name) return [];
      const [vCores, memory] = [size.vCores, (size.memoryGb / size.vCores) * 1024];
      const supportedHaMode = name === "Burstable" ? [] : ["SameZone", "ZoneRedundant"];
      return {
        name: sku,
        vCores,
        supportedIops: size.iops,
        supportedMemoryPerVcoreMb: memory,
        supportedZones: ["1", "2", "3"],
        supportedHaMode,
      };
    }),
  });
  return {
    name: "FlexibleServerCapabilities",
    supportedServerEditions: [
      edition("Burstable", "Standard_B1ms"),
      edition("GeneralPurpose", "Standard_D4ads_v5"),
      edition("MemoryOptimized", "Standard_E4ads_v5"),
    ],
    supportedServerVersions: VERSIONS.map((name) => ({ name, supportedVersionsToUpgrade: VERSIONS.filter((other) => other > name) })),
    supportedFeatures: [
      { name: "FastProvisioning", status: "Disabled" },
      { name: "ZoneRedundantHa", status: "Enabled" },
      { name: "GeoBackup", status: "Enabled" },
      { name: "StorageAutoGrowth", status: "Enabled" },
      { name: "OnlineResize", status: "Enabled" },
      { name: "OfferRestricted", status: "Disabled" },
    ],
    fastProvisioningSupported: "Disabled",
    geoBackupSupported: "Enabled",
    zoneRedundantHaSupported: "Enabled",
    zoneRedundantHaAndGeoBackupSupported: "Enabled",
    storageAutoGrowthSupported: "Enabled",
    onlineResizeSupported: "Enabled",
    restricted: "Disabled",
  };
}
