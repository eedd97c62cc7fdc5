/**
 * Every way this tool is known to fail, with the exit code that a script sees.
 * 1 failed · 2 usage or project file · 4 sign-in or permission · 5 not found · 6 busy, locked or conflict ·
 * 7 quota, SKU, region or policy · 8 verification failed · 130 cancelled.
 */
export const exitCodeOf = {
  "usage/invalid": 2,
  "project/invalid": 2,
  "project/missing": 2,
  "project/unwritable": 2,
  "auth/signed-out": 4,
  "azure/denied": 4,
  "azure/not-found": 5,
  "azure/busy": 6,
  "azure/conflict": 6,
  "azure/name-taken": 6,
  "azure/quota": 7,
  "azure/region-closed": 7,
  "azure/sku-unavailable": 7,
  "azure/policy": 7,
  "azure/invalid": 1,
  "azure/failed": 1,
  "azure/unreachable": 1,
  "azure/timeout": 1,
  "database/login-refused": 4,
  "database/denied": 4,
  "database/firewall": 4,
  "database/unreachable": 1,
  "database/failed": 1,
  "deploy/package-invalid": 2,
  "deploy/build-failed": 1,
  "deploy/start-failed": 1,
  "deploy/interrupted": 1,
  "step/blocked": 1,
  "step/not-converged": 1,
  "verify/failed": 8,
  "local/failed": 1,
  "local/not-running": 5,
  "local/port-in-use": 6,
  cancelled: 130,
} as const;

export type ErrorCode = keyof typeof exitCodeOf;

/**
 * A failure the person can act on. Anything else that is thrown is a bug.
 *
 * `message` says what failed, on what, by which operation; `hint` the next command or setting;
 * `cause` is the Azure or PostgreSQL error itself. None of them may carry a token or a password.
 */
export class KnownError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** How long Azure asks to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    more: { hint?: string | undefined; cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "KnownError";
    this.code = code;
    this.hint = more.hint;
    this.retryAfterMs = more.retryAfterMs;
  }
}
