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

const TEXTS = [
  "aud",
  "iss",
  "oid",
  "tid",
  "appid",
  "azp",
  "idtyp",
  "upn",
  "unique_name",
  "preferred_username",
  "name",
  "app_displayname",
  "xms_mirid",
  "ver",
] as const satisfies readonly (keyof TokenClaims)[];
const NUMBERS = ["exp", "nbf", "iat"] as const satisfies readonly (keyof TokenClaims)[];

/** Far more than Entra makes one; PostgreSQL takes as much for a password. */
const MAX_TOKEN = 65_535;

/**
 * The bytes of a base64url text (RFC 4648 section 5, no padding: RFC 7515 section 2); `undefined` for anything that is not exactly the one text
 * for its bytes. Node's own reading skips what it does not know, so that a token with junk in it would be taken for the token without.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/**
 * Reads the claims of a JWT *without checking its signature*: only for tokens that this process got itself over TLS.
 * `undefined` when the text is not a JWT: three base64url parts, of which the second is a JSON object. A claim that has not the type it should have is left out.
 */
export function readClaims(token: string): TokenClaims | undefined {
  if (token.length > MAX_TOKEN) return undefined;
  const parts = token.split(".").map(decodeBase64url);
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || !header || !payload || !signature) return undefined;
  try {
    const claims: unknown = JSON.parse(payload.toString("utf8"));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? ofRightTypes(claims) : undefined;
  } catch {
    return undefined;
  }
}

function ofRightTypes(claims: object): TokenClaims {
  const given = new Map<string, unknown>(Object.entries(claims));
  const texts = TEXTS.filter((name) => typeof given.get(name) === "string");
  const numbers = NUMBERS.filter((name) => Number.isFinite(given.get(name)));
  const groups = given.get("groups");
  return Object.fromEntries([
    ...[...texts, ...numbers].map((name) => [name, given.get(name)]),
    ...(Array.isArray(groups) ? [["groups", groups.filter((id) => typeof id === "string")]] : []),
  ]) as TokenClaims;
}
