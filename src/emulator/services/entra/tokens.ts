import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { decodeBase64url, readClaims, type TokenClaims } from "../../../base/jwt.ts";
import type { Directory, DirectoryPrincipal, TokenRefusal, Tokens } from "../../platform.ts";

/** The Azure CLI's public client ID: users of local Azure sign in as if through it. */
const AZURE_CLI_APP_ID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/** What can be wrong with a token made for tests. */
export const flaws = ["expired", "not-yet-valid", "signature", "tenant"] as const;
export type TokenFlaw = (typeof flaws)[number];

interface MintOptions {
  readonly lifetimeSeconds?: number;
  readonly flaw?: TokenFlaw;
}

/** Entra's token machinery: RS256, v1 claims as ARM and PostgreSQL get them. `keys` is the JWKS document. */
export interface EntraTokens extends Tokens {
  /** As `mint`, with something wrong on purpose. */
  mintFor(principal: DirectoryPrincipal, audience: string, options: MintOptions): { token: string; expiresOn: number };
  readonly keys: { readonly keys: readonly object[] };
}

export function newSigningKeyPem(): string {
  return newKey().export({ type: "pkcs8", format: "pem" }).toString();
}

/** Is it a private RSA key of the size that we make, or a greater one? */
export function isSigningKey(keyPem: string): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(keyPem);
    return asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= KEY_BITS;
  } catch {
    return false;
  }
}

const KEY_BITS = 2048;

function newKey(): KeyObject {
  return generateKeyPairSync("rsa", { modulusLength: KEY_BITS }).privateKey;
}

/** Tokens of one tenant, signed with the key in `keyPem` (PKCS#8). `lifetimeSeconds` is the default lifetime. */
export function createTokens(options: {
  readonly keyPem: string;
  readonly tenantId: string;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly lifetimeSeconds: number;
}): EntraTokens {
  const { tenantId, directory, clock } = options;
  const privateKey = createPrivateKey(options.keyPem);
  const publicKey = createPublicKey(options.keyPem);
  const jwk = publicKey.export({ format: "jwk" });
  const kid = createHash("sha256")
    .update(JSON.stringify({ e: jwk.e, kty: jwk.kty, n: jwk.n }))
    .digest("base64url");
  const issuer = issuerOf(tenantId);

  const mintFor = (principal: DirectoryPrincipal, audience: string, { lifetimeSeconds, flaw }: MintOptions) => {
    const nowSeconds = Math.floor(clock.now() / 1000);
    const lifetime = lifetimeSeconds ?? options.lifetimeSeconds;
    const shift = flaw === "expired" ? -lifetime - 600 : flaw === "not-yet-valid" ? 600 : 0;
    const expiresOn = nowSeconds + shift + lifetime;
    const tid = flaw === "tenant" ? "11111111-1111-4111-8111-111111111111" : tenantId;
    const groups = directory.groupsOf(principal.objectId);
    const claims = {
      aud: audience,
      iss: issuerOf(tid),
      iat: nowSeconds + shift,
      nbf: nowSeconds + shift,
      exp: expiresOn,
      ...principalClaims(principal, issuer),
      ...(groups.length > 0 ? { groups } : {}),
      oid: principal.objectId,
      sub: principal.objectId,
      tid,
      uti: randomBytes(16).toString("base64url"),
      ver: "1.0",
    };
    const unsigned = `${encode({ typ: "JWT", alg: "RS256", x5t: kid, kid })}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(unsigned), flaw === "signature" ? newKey() : privateKey);
    return { token: `${unsigned}.${signature.toString("base64url")}`, expiresOn };
  };

  return {
    mint: (principal, audience, lifetimeSeconds) => mintFor(principal, audience, lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
    mintFor,
    keys: { keys: [{ ...jwk, use: "sig", kid, x5t: kid, alg: "RS256", issuer: `https://login.microsoftonline.com/${tenantId}/v2.0` }] },
    verify: (token, accepted) => {
      const claims = readClaims(token);
      if (!claims) return { refusal: "malformed" };
      if (!isSignedBy(token, publicKey)) return { refusal: "signature", claims };
      const refusal = refusalOf(claims, accepted, { tenantId, issuer, nowSeconds: clock.now() / 1000 });
      return refusal ? { refusal, claims } : { claims };
    },
  };
}

function issuerOf(tenantId: string): string {
  return `https://sts.windows.net/${tenantId}/`;
}

/** The claims that tell the kinds of principal apart (v1 access tokens, learn.microsoft.com/entra/identity-platform/access-token-claims-reference). */
function principalClaims(principal: DirectoryPrincipal, issuer: string): object {
  if (principal.type === "User") {
    return {
      acr: "1",
      amr: ["pwd"],
      appid: AZURE_CLI_APP_ID,
      appidacr: "0",
      idtyp: "user",
      name: principal.displayName,
      scp: "user_impersonation",
      unique_name: principal.userPrincipalName,
      upn: principal.userPrincipalName,
    };
  }
  const isManaged = principal.managedIdentityOf !== undefined;
  return {
    appid: principal.appId,
    appidacr: isManaged ? "2" : "1",
    idp: issuer,
    idtyp: "app",
    ...(isManaged ? { xms_mirid: principal.managedIdentityOf } : {}),
  };
}

function refusalOf(
  claims: TokenClaims,
  accepted: readonly string[],
  here: { tenantId: string; issuer: string; nowSeconds: number },
): TokenRefusal | undefined {
  if (claims.tid !== here.tenantId || claims.iss !== here.issuer) return "tenant";
  if (!accepted.some((audience) => withoutSlash(audience) === withoutSlash(claims.aud ?? ""))) return "audience";
  if (typeof claims.exp !== "number" || claims.exp <= here.nowSeconds) return "expired";
  if (typeof claims.nbf !== "number" || claims.nbf > here.nowSeconds) return "not-yet-valid";
  return undefined;
}

function isSignedBy(token: string, key: KeyObject): boolean {
  const [header = "", body = "", signature = ""] = token.split(".");
  const [headerBytes, signatureBytes] = [decodeBase64url(header), decodeBase64url(signature)];
  if (!headerBytes || !signatureBytes) return false;
  try {
    const { alg } = JSON.parse(headerBytes.toString("utf8")) as { alg?: unknown };
    return alg === "RS256" && verify("sha256", Buffer.from(`${header}.${body}`), key, signatureBytes);
  } catch {
    return false;
  }
}

function withoutSlash(audience: string): string {
  return audience.replace(/\/+$/, "");
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
