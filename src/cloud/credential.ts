import type { TokenCredential } from "@azure/core-auth";
import type { Environment } from "./environment.ts";

/** The signed-in principal, read from the claims of its own ARM token; no Graph call. */
export interface Caller {
  readonly objectId: string;
  readonly tenantId: string;
  /** UPN of a user; display name of a service principal when the token has one, else its application ID. */
  readonly name: string;
  readonly type: "User" | "ServicePrincipal";
}

/** Sign-in settings that the command line gives; everything else comes from the chain's own sources. */
export interface SignInSettings {
  readonly tenantId?: string;
  readonly clientId?: string;
  /** With `tenantId` and `clientId`: sign in as this service principal and nothing else (local Azure). */
  readonly clientSecret?: string;
}

/** A credential for the environment. Nothing is asked of the network yet. */
export async function signIn(_environment: Environment, _settings: SignInSettings): Promise<TokenCredential> {
  throw new Error("not written yet");
}

/** Who the credential is. Throws `auth/signed-out` with the command that signs in. */
export async function whoAmI(_credential: TokenCredential, _environment: Environment): Promise<Caller> {
  throw new Error("not written yet");
}
