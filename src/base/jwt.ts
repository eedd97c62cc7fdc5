/** The claims of an Entra access token that this project reads. Unverified when they come from `readClaims`. */
export interface TokenClaims {
  readonly aud?: string;
  readonly iss?: string;
  readonly exp?: number;
  readonly nbf?: number;
  readonly iat?: number;
  /** Object ID of the user or service principal. */
  readonly oid?: string;
  /** Tenant ID. */
  readonly tid?: string;
  readonly appid?: string;
  readonly azp?: string;
  /** `app` for a service principal or managed identity, `user` (often absent in v1 tokens) for a person. */
  readonly idtyp?: string;
  readonly upn?: string;
  readonly unique_name?: string;
  readonly preferred_username?: string;
  readonly name?: string;
  readonly app_displayname?: string;
  readonly groups?: readonly string[];
  readonly xms_mirid?: string;
  readonly ver?: string;
}

/**
 * Reads the claims of a JWT *without checking its signature*: only for tokens that this process got itself over TLS.
 * `undefined` when the text is not a JWT.
 */
export function readClaims(token: string): TokenClaims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3 || !parts[1]) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1], "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? (claims as TokenClaims) : undefined;
  } catch {
    return undefined;
  }
}
