import type { TokenClaims } from "../../base/jwt.ts";
import { type ArmError, armError } from "../http/arm-error.ts";
import type { Incoming } from "../http/listener.ts";
import { audiences, type Endpoints, type TokenRefusal, type Tokens } from "../platform.ts";

/** The claims of a token that ARM takes. Throws 401 with a challenge for any other. */
export function authenticate(
  { endpoints, tokens }: { readonly endpoints: Endpoints; readonly tokens: Tokens },
  incoming: Incoming,
): TokenClaims {
  const header = incoming.headers.get("authorization");
  if (!header) throw unauthorized(endpoints, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
  const token = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
  if (!token)
    throw unauthorized(
      endpoints,
      "AuthenticationFailedInvalidHeader",
      "Authentication failed. The 'Authorization' header is provided in an invalid format.",
    );
  const checked = tokens.verify(token, [...audiences.resourceManager, endpoints.resourceManager]);
  if (!("refusal" in checked)) return checked.claims;
  const { code, message } = refusalTexts(checked.refusal, checked.claims?.aud ?? "", endpoints);
  throw unauthorized(endpoints, code, message);
}

/** ARM's texts for refused tokens; `signature` and `not-yet-valid` are worded after it, not recorded. */
function refusalTexts(refusal: TokenRefusal, audience: string, { tenantId }: Endpoints): { code: string; message: string } {
  const texts: Record<TokenRefusal, { code: string; message: string }> = {
    malformed: { code: "InvalidAuthenticationToken", message: "The access token is invalid." },
    signature: { code: "InvalidAuthenticationToken", message: "The access token is from an untrusted issuer: its signature is not valid." },
    "not-yet-valid": { code: "InvalidAuthenticationToken", message: "The access token is not valid yet." },
    expired: { code: "ExpiredAuthenticationToken", message: "The access token expiry UTC time has passed." },
    audience: {
      code: "InvalidAuthenticationTokenAudience",
      message: `The access token has been obtained for wrong audience or resource '${audience}'. It should exactly match with one of the allowed audiences '${audiences.resourceManager.map((allowed) => `${allowed}/`).join("','")}'.`,
    },
    tenant: {
      code: "InvalidAuthenticationTokenTenant",
      message: `The access token is from the wrong issuer. It must match the tenant 'https://sts.windows.net/${tenantId}/' associated with this subscription.`,
    },
  };
  return texts[refusal];
}

function unauthorized({ authority, tenantId }: Endpoints, code: string, message: string): ArmError {
  // The audience in it is the token's own word; a header takes ASCII and no line break.
  const words = message.slice(0, 1_000).replace(/[^ -~]|"/g, "?");
  const challenge = `Bearer authorization_uri="${authority}/${tenantId}", error="invalid_token", error_description="${words}"`;
  return armError(401, code, message, { headers: { "www-authenticate": challenge } });
}
