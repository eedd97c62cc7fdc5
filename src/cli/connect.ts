import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KnownError } from "../base/errors.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { CloudContext } from "../cloud/connection.ts";
import type { SignInSettings } from "../cloud/credential.ts";
import { type Environment, environments } from "../cloud/environment.ts";
import { homeFolder } from "./home-folder.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

export interface Connection {
  readonly cloud: Cloud;
  /** What Azure has warned of on it, each once. */
  readonly azureWarnings: ReadonlySet<string>;
  /** The same cloud with the same sign-in, for work that goes on after the run was cancelled. */
  reopen(signal: AbortSignal): Promise<Cloud>;
}

/** What a cloud is signed in to with; no `subscriptionId`: the caller's own choice. */
interface CloudAccess {
  readonly environment: Environment;
  readonly settings: SignInSettings;
  readonly subscriptionId?: string | undefined;
}

/**
 * Signs in to the Azure that the options name and opens its adapters. Local Azure is started when it is not running.
 * Throws `usage/invalid` for an unknown cloud and when the subscription must be chosen, `auth/signed-out`.
 */
export async function connect(io: Io, options: GlobalOptions, postgresVersion: string): Promise<Connection> {
  const [{ openCloud }, { signIn }] = await Promise.all([import("../cloud/cloud.ts"), import("../cloud/credential.ts")]);
  const { environment, settings, ...named } = await accessOf(io, options, postgresVersion);
  const credential = await signIn(environment, settings, io.signal);
  const azureWarnings = new Set<string>();
  const base = {
    environment,
    credential,
    signal: io.signal,
    clock: io.clock,
    onWarning: (warning: string) => void azureWarnings.add(warning),
    onNote: io.note,
    onProgress: io.progress.onWait,
  };
  const context: CloudContext = { ...base, subscriptionId: named.subscriptionId ?? (await defaultSubscription(io, base)) };
  const reopen = async (signal: AbortSignal): Promise<Cloud> =>
    openCloud({ ...context, signal, credential: await signIn(environment, settings, signal, credential) });
  return { cloud: await openCloud(context), azureWarnings, reopen };
}

async function accessOf(io: Io, options: GlobalOptions, postgresVersion: string): Promise<CloudAccess> {
  const { PASSWORDLESS_PG_CLOUD, AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_SUBSCRIPTION_ID } = io.environment;
  const name = options.local ? "local" : (options.cloud ?? PASSWORDLESS_PG_CLOUD ?? "public");
  if (name === "local") {
    const { ensureLocal } = await import("./local/ensure-local.ts");
    return ensureLocal(io, postgresVersion);
  }
  if (!Object.hasOwn(environments, name)) {
    throw new KnownError("usage/invalid", `there is no cloud named "${name}"`, {
      hint: `${Object.keys(environments).join(", ")} or local`,
    });
  }
  const settings = {
    ...(AZURE_TENANT_ID && { tenantId: AZURE_TENANT_ID }),
    ...(AZURE_CLIENT_ID && { clientId: AZURE_CLIENT_ID }), // the user-assigned identity of the machine this runs on, as for Azure's own tools
  };
  return {
    environment: environments[name as keyof typeof environments],
    settings,
    subscriptionId: options.subscription ?? AZURE_SUBSCRIPTION_ID,
  };
}

/** The Azure CLI's default subscription, else the only one the caller has. */
async function defaultSubscription(io: Io, context: Omit<CloudContext, "subscriptionId">): Promise<string> {
  const chosen = await subscriptionOfAzureCli(io);
  if (chosen) return chosen;
  const { listSubscriptions } = await import("../cloud/resource-groups.ts");
  const found = (await listSubscriptions(context)).filter(({ state }) => state === "Enabled" || state === "Warned");
  const [only, ...others] = found;
  if (only && others.length === 0) return only.subscriptionId;
  if (!only)
    throw new KnownError("auth/signed-out", "the signed-in account has no Azure subscription", {
      hint: "sign in with another account: `az login`",
    });
  const list = found.map(({ subscriptionId, displayName }) => `\n  ${subscriptionId}  ${displayName}`).join("");
  throw new KnownError("usage/invalid", `the signed-in account has ${found.length} subscriptions:${list}`, {
    hint: "choose one with --subscription",
  });
}

async function subscriptionOfAzureCli(io: Io): Promise<string | undefined> {
  const folder = io.environment.AZURE_CONFIG_DIR ?? join(homeFolder() ?? "/", ".azure");
  const profile = await readFile(join(folder, "azureProfile.json"), "utf8").catch(() => undefined);
  if (profile === undefined) return undefined;
  try {
    const { subscriptions } = JSON.parse(profile.replace(/^\uFEFF/, "")) as { subscriptions?: { id?: string; isDefault?: boolean }[] };
    return subscriptions?.find(({ isDefault }) => isDefault)?.id;
  } catch {
    return undefined; // not ours to judge: Azure is asked instead
  }
}
