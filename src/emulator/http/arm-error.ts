/** A refusal in the shape of the service that gives it. Handlers throw it; the router turns it into the answer. */
export interface ArmError {
  readonly isArmError: true;
  readonly status: number;
  readonly code: string;
  readonly message: string;
  toResponse(): Response;
}

export function isArmError(value: unknown): value is ArmError {
  return typeof value === "object" && value !== null && (value as { isArmError?: unknown }).isArmError === true;
}

/**
 * `{"error":{"code","message"}}`, as ARM's front end and most providers have it. `fields` go beside code and message (`details`, …);
 * `body` stands in place of it all, for services with a shape of their own (Microsoft.Web's capitals, Entra).
 */
export function armError(
  status: number,
  code: string,
  message: string,
  { headers = {}, fields = {}, body = { error: { code, message, ...fields } } }: ErrorParts = {},
): ArmError {
  return {
    isArmError: true,
    status,
    code,
    message,
    toResponse: () =>
      new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json; charset=utf-8", ...headers } }),
  };
}

interface ErrorParts {
  readonly headers?: Readonly<Record<string, string>>;
  readonly fields?: object;
  readonly body?: object;
}

/** No room on the disk of the home: nothing that Azure has, so with a status and a code (RFC 4918) that say what it is. */
export function diskFull(): ArmError {
  return armError(
    507,
    "InsufficientStorage",
    "Local Azure cannot keep this: there is no room left on the disk that its home is on (ENOSPC).",
  );
}

/** The 501 for what local Azure does not know: 404 would mean "absent". */
export function notImplemented({ method, url }: { readonly method: string; readonly url: URL }, where: string): ArmError {
  const version = url.searchParams.get("api-version");
  const message = `Local Azure has no route for ${method} ${url.pathname}${version ? ` (api-version ${version})` : ""} on ${where}.`;
  return armError(501, "NotImplementedByLocalAzure", message);
}
