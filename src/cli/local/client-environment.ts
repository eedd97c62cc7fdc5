import type { RunningLocal } from "../../emulator/local.ts";

/** By the names of Azure's own SDKs, Terraform, curl and psql. */
export function environmentOf(local: RunningLocal): Record<string, string> {
  return {
    AZURE_TENANT_ID: local.tenantId,
    AZURE_CLIENT_ID: local.clientId,
    AZURE_SUBSCRIPTION_ID: local.subscriptionId,
    AZURE_AUTHORITY_HOST: local.authority,
    AZURE_RESOURCE_MANAGER: local.arm,
    ARM_TENANT_ID: local.tenantId,
    ARM_CLIENT_ID: local.clientId,
    ARM_SUBSCRIPTION_ID: local.subscriptionId,
    NODE_EXTRA_CA_CERTS: local.caFile,
    // With the public authorities, because these replace what a client trusts instead of adding to it.
    SSL_CERT_FILE: local.caBundleFile,
    CURL_CA_BUNDLE: local.caBundleFile,
    REQUESTS_CA_BUNDLE: local.caBundleFile,
    PGSSLROOTCERT: local.caFile,
    PGSSLMODE: "verify-full",
  };
}

/** Names of files instead of secrets: a shell reads the secret itself, when it needs it. */
export function shellLines(local: RunningLocal): string[] {
  const secret = `"$(cat ${shellQuote(local.clientSecretFile)})"`;
  return [
    '# eval "$(passwordless-pg local env)"',
    ...Object.entries(environmentOf(local)).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
    `export AZURE_CLIENT_SECRET=${secret}`,
    `export ARM_CLIENT_SECRET=${secret}`,
  ];
}

const AZ_CLOUD = "PasswordlessPgLocal";

/** Seen with az 2.70 and 2.91. `@FILE` keeps the secret out of the arguments; the second line is for a cloud that is already registered. */
export function azLines(local: RunningLocal): string[] {
  const endpoints = {
    resourceManager: `${local.arm}/`, // az joins some paths to it without a slash of its own
    management: "https://management.core.windows.net/",
    activeDirectory: local.authority,
    activeDirectoryResourceId: "https://management.core.windows.net/",
    activeDirectoryGraphResourceId: "https://graph.windows.net/",
    microsoftGraphResourceId: "https://graph.microsoft.com/",
    ossrdbmsResourceId: "https://ossrdbms-aad.database.windows.net",
    appServiceResourceId: "https://appservice.azure.com",
  };
  const suffixes = { postgresqlServerEndpoint: ".postgres.database.azure.com" };
  const cloudConfig = `--name ${AZ_CLOUD} --cloud-config ${shellQuote(JSON.stringify({ endpoints, suffixes, profile: "latest" }))}`;
  return [
    '# eval "$(passwordless-pg local env --format az)"',
    `export REQUESTS_CA_BUNDLE=${shellQuote(local.caBundleFile)}`,
    "export AZURE_CORE_INSTANCE_DISCOVERY=false",
    `az cloud register ${cloudConfig} --only-show-errors 2>/dev/null || az cloud update ${cloudConfig} --only-show-errors`,
    `az cloud set --name ${AZ_CLOUD} --only-show-errors`,
    `az login --service-principal --username ${local.clientId} --password @${shellQuote(local.clientSecretFile)} --tenant ${local.tenantId} --output none`,
  ];
}

function shellQuote(text: string): string {
  return /^[A-Za-z0-9_/:.@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
