import { type BodyShape, checkShape } from "./body-shape.ts";

/** What every ARM body has where it has it (azure-rest-api-specs, specification/common-types/resource-management). */
const envelope: BodyShape = {
  name: "text",
  type: "text",
  kind: "text",
  location: "text",
  managedBy: "text",
  tags: "object",
  "tags.*": "text",
  sku: "object",
  "sku.name": "text",
  "sku.tier": "text",
  "sku.capacity": "number",
  identity: "object",
  "identity.type": "text",
  "identity.userAssignedIdentities": "object",
  "identity.userAssignedIdentities.*": "object",
  properties: "object",
};

const siteConfig = (at: string): BodyShape => ({
  [`${at}linuxFxVersion`]: "text",
  [`${at}appCommandLine`]: "text",
  [`${at}healthCheckPath`]: "text",
  [`${at}alwaysOn`]: "flag",
  [`${at}http20Enabled`]: "flag",
  [`${at}minTlsVersion`]: "text",
  [`${at}ftpsState`]: "text",
  [`${at}numberOfWorkers`]: "number",
  [`${at}appSettings`]: "list",
  [`${at}appSettings.*`]: "object",
  [`${at}appSettings.*.name`]: "text",
  [`${at}appSettings.*.value`]: "scalar",
  [`${at}connectionStrings`]: "list",
  [`${at}connectionStrings.*`]: "object",
  [`${at}connectionStrings.*.name`]: "text",
  [`${at}connectionStrings.*.connectionString`]: "text",
  [`${at}connectionStrings.*.type`]: "text",
});

/** By the end of a route's path: the members that local Azure reads (specification/web, specification/postgresql). */
const bodies: readonly (readonly [route: RegExp, shape: BodyShape])[] = [
  [
    /\/serverfarms\/\{plan\}$/,
    {
      "properties.reserved": "flag",
      "properties.perSiteScaling": "flag",
      "properties.elasticScaleEnabled": "flag",
      "properties.maximumElasticWorkerCount": "number",
      "properties.zoneRedundant": "flag",
    },
  ],
  [
    /\/sites\/\{site\}$/,
    {
      "properties.serverFarmId": "text",
      "properties.httpsOnly": "flag",
      "properties.clientAffinityEnabled": "flag",
      "properties.publicNetworkAccess": "text",
      "properties.siteConfig": "object",
      ...siteConfig("properties.siteConfig."),
    },
  ],
  [/\/config\/web$/, siteConfig("properties.")],
  [/\/config\/appsettings$/, { "properties.*": "scalar" }],
  [/\/config\/connectionstrings$/, { "properties.*": "object", "properties.*.value": "text", "properties.*.type": "text" }],
  [/\/config\/slotConfigNames$/, { "properties.*": "list", "properties.*.*": "text" }],
  [
    /\/config\/logs$/,
    {
      "properties.*": "object",
      "properties.httpLogs.fileSystem": "object",
      "properties.httpLogs.fileSystem.enabled": "flag",
      "properties.httpLogs.fileSystem.retentionInDays": "number",
      "properties.httpLogs.fileSystem.retentionInMb": "number",
    },
  ],
  [
    /\/flexibleServers\/\{server\}$/,
    {
      "properties.version": "text",
      "properties.administratorLogin": "text",
      "properties.administratorLoginPassword": "text",
      "properties.createMode": "text",
      "properties.availabilityZone": "text",
      "properties.storage": "object",
      "properties.storage.storageSizeGB": "number",
      "properties.storage.autoGrow": "text",
      "properties.backup": "object",
      "properties.backup.backupRetentionDays": "number",
      "properties.backup.geoRedundantBackup": "text",
      "properties.highAvailability": "object",
      "properties.highAvailability.mode": "text",
      "properties.network": "object",
      "properties.network.publicNetworkAccess": "text",
      "properties.maintenanceWindow": "object",
      "properties.authConfig": "object",
      "properties.authConfig.activeDirectoryAuth": "text",
      "properties.authConfig.passwordAuth": "text",
      "properties.authConfig.tenantId": "text",
    },
  ],
  [/\/firewallRules\/\{rule\}$/, { "properties.startIpAddress": "text", "properties.endIpAddress": "text" }],
  [
    /\/administrators\/\{objectId\}$/,
    { "properties.principalType": "text", "properties.principalName": "text", "properties.tenantId": "text" },
  ],
  [
    /\/roleAssignments\/\{assignment\}$/,
    {
      "properties.roleDefinitionId": "text",
      "properties.principalId": "text",
      "properties.principalType": "text",
      "properties.description": "text",
      "properties.condition": "text",
    },
  ],
  [/\/configurations\/\{name\}$/, { "properties.value": "scalar", "properties.source": "text" }],
  [/\/databases\/\{database\}$/, { "properties.charset": "text", "properties.collation": "text" }],
];

/** Refuses with 400 a body that no handler of this route could read. `route` is its path with the `{parameters}`. */
export function checkArmBody(route: string, body: unknown): void {
  checkShape(body, envelope);
  for (const [path, shape] of bodies) if (path.test(route)) checkShape(body, shape);
}
