import { delimiter, join } from "node:path";

/** What an instance's environment is made of. */
export interface EnvironmentInput {
  readonly appSettings: Readonly<Record<string, string>>;
  readonly connectionStrings: Readonly<Record<string, { readonly value: string; readonly type: string }>>;
  readonly stack: "python" | "node" | "other";
  readonly siteName: string;
  readonly hostName: string;
  readonly resourceGroup: string;
  readonly subscriptionId: string;
  readonly regionName: string;
  readonly sku: string;
  readonly isHttpLogging: boolean;
  readonly instanceId: string;
  readonly machine: string;
  readonly port: number;
  /** The site's `/home`. */
  readonly homeFolder: string;
  readonly appFolder: string;
  /** Holds `python`, `node`, …; first on the PATH after the app's own virtual environment. */
  readonly binFolder: string;
  /** `antenv` of the app when it has one. */
  readonly virtualEnvironment?: string;
  /** Folders made by `writeShims`. */
  readonly shims: { readonly node: string; readonly python: string };
  /** PEM file that stands for the container's trust store. */
  readonly bundleFile: string;
  /** Only when an identity is on. */
  readonly identity?: { readonly endpoint: string; readonly header: string };
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
export function buildEnvironment(input: EnvironmentInput): Record<string, string> {
  const own: Record<string, string> = {
    LANG: "C.UTF-8",
    // `npm start` would ask the registry for a newer npm.
    npm_config_update_notifier: "false",
    HOME: input.homeFolder,
    PORT: String(input.port),
    APP_PATH: input.appFolder,
    WEBSITE_SITE_NAME: input.siteName,
    WEBSITE_HOSTNAME: input.hostName,
    WEBSITE_DEFAULT_HOSTNAME: input.hostName,
    WEBSITE_INSTANCE_ID: input.instanceId,
    WEBSITE_ROLE_INSTANCE_ID: "0",
    WEBSITE_RESOURCE_GROUP: input.resourceGroup,
    WEBSITE_OWNER_NAME: `${input.subscriptionId}+${input.resourceGroup}-${input.regionName.replaceAll(" ", "")}webspace-Linux`,
    WEBSITE_SKU: input.sku,
    WEBSITE_AUTH_ENABLED: "False",
    WEBSITE_USE_DIAGNOSTIC_SERVER: "True",
    REGION_NAME: input.regionName,
    HTTP_LOGGING_ENABLED: input.isHttpLogging ? "1" : "0",
    COMPUTERNAME: input.machine,
    PGSSLROOTCERT: input.bundleFile,
    SSL_CERT_FILE: input.bundleFile,
    REQUESTS_CA_BUNDLE: input.bundleFile,
    NODE_EXTRA_CA_CERTS: input.bundleFile,
  };
  if (input.stack === "python") {
    const guni = `--timeout 600 --access-logfile '-' --error-logfile '-' --bind=127.0.0.1:${input.port} --chdir=${input.appFolder}`;
    own.GUNICORN_CMD_ARGS = guni;
  }
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(input.appSettings)) {
    // On Linux letters, digits, `_` and `.` survive.
    const clean = name.replaceAll(":", "__").replace(/[^A-Za-z0-9_.]/g, "_");
    settings[clean] = value;
    settings[`APPSETTING_${clean}`] = value;
  }
  for (const [name, { value, type }] of Object.entries(input.connectionStrings)) {
    settings[`${CONNECTION_PREFIX[type.toLowerCase()] ?? "CUSTOMCONNSTR"}_${name}`] = value;
  }
  const identity: Record<string, string> = input.identity
    ? {
        IDENTITY_ENDPOINT: input.identity.endpoint,
        IDENTITY_HEADER: input.identity.header,
        MSI_ENDPOINT: input.identity.endpoint,
        MSI_SECRET: input.identity.header,
      }
    : {};
  const bins = input.virtualEnvironment ? [join(input.virtualEnvironment, "bin"), input.binFolder] : [input.binFolder];
  return {
    ...own,
    ...settings,
    ...identity,
    PORT: own.PORT ?? "",
    HOME: input.homeFolder,
    PATH: [...bins, settings.PATH ?? SYSTEM_PATH].join(delimiter),
    ...(input.virtualEnvironment ? { VIRTUAL_ENV: input.virtualEnvironment } : {}),
    ...shimVariables(input, settings),
  };
}

function shimVariables(input: EnvironmentInput, settings: Readonly<Record<string, string>>): Record<string, string> {
  const node = [settings.NODE_OPTIONS, `--require ${JSON.stringify(join(input.shims.node, "loopback.cjs"))}`].filter(Boolean).join(" ");
  const python = [input.shims.python, settings.PYTHONPATH].filter(Boolean).join(delimiter);
  return { NODE_OPTIONS: node, PYTHONPATH: python };
}
