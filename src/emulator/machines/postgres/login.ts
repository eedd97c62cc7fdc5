import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { TokenClaims } from "../../../base/jwt.ts";
import { audiences, type Directory, type TokenRefusal, type Tokens } from "../../platform.ts";

const derive = promisify(pbkdf2);

/** A role as `pg_authid` and `pg_shseclabel` have it. */
export interface LoginRole {
  readonly isEntra: boolean;
  readonly type?: string;
  readonly objectId?: string;
  /** `SCRAM-SHA-256$…` */
  readonly verifier?: string;
}

interface LoginAttempt {
  readonly user: string;
  readonly password: string;
  /** Absent when there is no such role. */
  readonly role: LoginRole | undefined;
}

export interface LoginPolicy {
  readonly activeDirectoryAuth: boolean;
  readonly passwordAuth: boolean;
  /** `authConfig.tenantId`: the one whose tokens the server takes. */
  readonly tenantId: string;
}

export interface Refusal {
  readonly sqlState: string;
  readonly message: string;
}

/**
 * May this user come in with this password (an Entra token, or a real password where that is allowed)? `undefined` means yes.
 * Texts and SQLSTATEs: reports by users of Azure collected from issues; those marked "invented" were not found anywhere.
 */
export async function judgeLogin(
  { user, password, role }: LoginAttempt,
  policy: LoginPolicy,
  { tokens, directory }: { readonly tokens: Pick<Tokens, "verify">; readonly directory: Pick<Directory, "groupsOf"> },
): Promise<Refusal | undefined> {
  const wrongPassword = { sqlState: "28P01", message: `password authentication failed for user "${user}"` };
  if (!role) return wrongPassword;
  if (!role.isEntra) return policy.passwordAuth && (await fitsVerifier(password, role.verifier)) ? undefined : wrongPassword;
  if (!policy.activeDirectoryAuth) return wrongPassword;
  const checked = tokens.verify(password, audiences.postgres);
  if ("refusal" in checked) return { sqlState: "28000", message: REFUSALS[checked.refusal] };
  if (checked.claims.tid !== policy.tenantId) return { sqlState: "28000", message: REFUSALS.tenant };
  const message = mismatch(user, role, checked.claims, directory);
  return message ? { sqlState: "28000", message } : undefined;
}

const REFUSALS: Readonly<Record<TokenRefusal, string>> = {
  malformed: "The access token has invalid format. Acquire a new token and retry.",
  expired: "The access token has expired. Acquire a new token and retry.",
  audience:
    'The access token does not have a valid audience claim. Please acquire a new token for the resource "https://ossrdbms-aad.database.windows.net".',
  signature: "The access token has an invalid signature. Acquire a new token and retry.", // invented
  "not-yet-valid": "The access token is not yet valid. Acquire a new token and retry.", // invented
  tenant: "The access token was issued by another tenant than the server's.", // invented
};

function mismatch(user: string, role: LoginRole, claims: TokenClaims, directory: Pick<Directory, "groupsOf">): string | undefined {
  const isApp = claims.idtyp === "app";
  if (role.type === "user" && isApp) {
    return `Microsoft Entra user token for role "${user}" is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token.`;
  }
  if (role.type === "service" && !isApp) return `Service principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role "${user}"`;
  const same = (id: string | undefined): boolean => id?.toLowerCase() === role.objectId?.toLowerCase();
  if (role.type === "group") {
    const groups = claims.groups ?? (claims.oid ? directory.groupsOf(claims.oid) : []);
    return groups.some(same) ? undefined : `The access token's principal is not a member of the group of role "${user}".`; // invented
  }
  return same(claims.oid) ? undefined : `The access token's object ID does not match the object ID of role "${user}".`; // invented
}

/** What PostgreSQL keeps of a password: RFC 5803 as in `pg_authid.rolpassword`. */
export async function scramVerifier(password: string): Promise<string> {
  const [salt, iterations] = [randomBytes(16), 4096];
  const { storedKey, serverKey } = await scramKeys(password, salt, iterations);
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey.toString("base64")}:${serverKey.toString("base64")}`;
}

async function fitsVerifier(password: string, verifier: string | undefined): Promise<boolean> {
  const [, iterations, salt, storedKey] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):/.exec(verifier ?? "") ?? [];
  if (!iterations || !salt || !storedKey) return false;
  const found = await scramKeys(password, Buffer.from(salt, "base64"), Number(iterations));
  return timingSafeEqual(found.storedKey, Buffer.from(storedKey, "base64"));
}

async function scramKeys(password: string, salt: Buffer, iterations: number): Promise<{ storedKey: Buffer; serverKey: Buffer }> {
  const salted = await derive(password.normalize("NFKC"), salt, iterations, 32, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  return {
    storedKey: createHash("sha256").update(clientKey).digest(),
    serverKey: createHmac("sha256", salted).update("Server Key").digest(),
  };
}
