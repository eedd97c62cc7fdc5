import { delimiter, join } from "node:path";
import type { DeployedApp } from "./description.ts";
import type { Shims } from "./shims.ts";
import type { WorkerImage } from "./worker-image.ts";

/** The instance a container environment is made for. */
export interface EnvironmentOwner {
  /** 64 hex digits. */
  readonly id: string;
  readonly machine: string;
  readonly port: number;
  /** Only when an identity is on. */
  readonly identity?: { readonly endpoint: string; readonly header: string };
}

/** What local Azure puts into every container. */
export interface ContainerFiles {
  readonly shims: Shims;
  /** PEM file that stands for the container's trust store. */
  readonly bundleFile: string;
}

/** Prefixes of connection strings in the environment (azure/appservice.md 3.1). */
const CONNECTION_PREFIX: Readonly<Record<string, string>> = {
  mysql: "MYSQLCONNSTR",
  sqlserver: "SQLCONNSTR",
  sqlazure: "SQLAZURECONNSTR",
  postgresql: "POSTGRESQLCONNSTR",
  custom: "CUSTOMCONNSTR",
  docdb: "DOCDBCONNSTR",
  rediscache: "REDISCACHECONNSTR",
  servicebus: "SERVICEBUSCONNSTR",
  eventhub: "EVENTHUBCONNSTR",
  notificationhub: "NOTIFICATIONHUBCONNSTR",
  apihub: "APIHUBCONNSTR",
};

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The whole environment of an app container (azure/appservice.md 3.1). Nothing of local Azure's own environment is in it. */
export function buildEnvironment(
  app: DeployedApp,
  owner: EnvironmentOwner,
  image: WorkerImage,
  files: ContainerFiles,
): Record<string, string> {
  const { variables, virtualEnvironment } = image.environment(app, owner.port);
  const settings = userVariables(app);
  const programFolders = [...(virtualEnvironment ? [join(virtualEnvironment, "bin")] : []), app.binFolder];
  return {
    ...platformVariables(app, owner, files.bundleFile),
    ...variables,
    ...settings,
    ...identityVariables(owner.identity),
    PORT: String(owner.port),
    HOME: app.homeFolder,
    PATH: [...programFolders, settings.PATH ?? SYSTEM_PATH].join(delimiter),
    ...(virtualEnvironment ? { VIRTUAL_ENV: virtualEnvironment } : {}),
    ...shimVariables(files.shims, settings),
  };
}

/** What the platform sets unless a setting of the same name does. */
function platformVariables(app: DeployedApp, { id, machine }: EnvironmentOwner, bundleFile: string): Record<string, string> {
  return {
    LANG: "C.UTF-8",
    // `npm start` would ask the registry for a newer npm.
    npm_config_update_notifier: "false",
    APP_PATH: app.appFolder,
    WEBSITE_SITE_NAME: app.siteName,
    WEBSITE_HOSTNAME: app.hostName,
    WEBSITE_DEFAULT_HOSTNAME: app.hostName,
    WEBSITE_INSTANCE_ID: id,
    WEBSITE_ROLE_INSTANCE_ID: "0",
    WEBSITE_RESOURCE_GROUP: app.resourceGroup,
    WEBSITE_OWNER_NAME: `${app.subscriptionId}+${app.resourceGroup}-${app.regionName.replaceAll(" ", "")}webspace-Linux`,
    WEBSITE_SKU: app.sku,
    WEBSITE_AUTH_ENABLED: "False",
    WEBSITE_USE_DIAGNOSTIC_SERVER: "True",
    REGION_NAME: app.regionName,
    HTTP_LOGGING_ENABLED: app.isHttpLogging ? "1" : "0",
    COMPUTERNAME: machine,
    PGSSLROOTCERT: bundleFile,
    SSL_CERT_FILE: bundleFile,
    REQUESTS_CA_BUNDLE: bundleFile,
    NODE_EXTRA_CA_CERTS: bundleFile,
  };
}

/** App settings, each under two names, and connection strings. */
function userVariables({ appSettings, connectionStrings }: DeployedApp): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(appSettings)) {
    // On Linux letters, digits, `_` and `.` survive.
    const clean = name.replaceAll(":", "__").replace(/[^A-Za-z0-9_.]/g, "_");
    variables[clean] = value;
    variables[`APPSETTING_${clean}`] = value;
  }
  for (const [name, { value, type }] of Object.entries(connectionStrings)) {
    variables[`${CONNECTION_PREFIX[type.toLowerCase()] ?? "CUSTOMCONNSTR"}_${name}`] = value;
  }
  return variables;
}

function identityVariables(identity: EnvironmentOwner["identity"]): Record<string, string> {
  if (!identity) return {};
  const { endpoint, header } = identity;
  return { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: header, MSI_ENDPOINT: endpoint, MSI_SECRET: header };
}

function shimVariables(shims: Shims, settings: Readonly<Record<string, string>>): Record<string, string> {
  const node = [settings.NODE_OPTIONS, `--require ${JSON.stringify(join(shims.node, "loopback.cjs"))}`].filter(Boolean).join(" ");
  const python = [shims.python, settings.PYTHONPATH].filter(Boolean).join(delimiter);
  return { NODE_OPTIONS: node, PYTHONPATH: python };
}
