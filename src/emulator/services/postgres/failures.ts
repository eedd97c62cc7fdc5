import { KnownError } from "../../../base/errors.ts";
import { homeFailure } from "../../home.ts";
import { type ArmError, armError, isArmError } from "../../http/arm-error.ts";
import type { Platform } from "../../platform.ts";

/** The code of what fails because of the machine local Azure runs on: no room, no PostgreSQL of the version, no npm. Local Azure's own. */
const LOCAL_FAILURE = "LocalAzureFailed";

/**
 * A failure of this machine as a client of ARM is told of it, in words: an InternalServerError would send people to Azure's status page. `what` begins its
 * line in the log. Bugs and ARM's own refusals stay what they are.
 */
export function asArmError({ home, log }: Pick<Platform, "home" | "log">, what: string, error: unknown): ArmError | unknown {
  if (isArmError(error)) return error;
  const known = homeFailure(home.root, isDiskFull(error) ? fullDisk(home.root, error) : error);
  if (!(known instanceof KnownError)) return error;
  log(`${what}: ${known.message}`);
  return armError(500, LOCAL_FAILURE, `${known.message}${known.hint ? ` → ${known.hint}` : ""}`);
}

/** Programs (cp, initdb, PostgreSQL itself) say it in words. */
function isDiskFull(error: unknown): boolean {
  const { message = "", stderr = "", cause } = error as { message?: string; stderr?: string; cause?: unknown };
  return /No space left on device|ENOSPC/.test(`${message}${stderr}`) || (cause !== undefined && isDiskFull(cause));
}

function fullDisk(root: string, cause: unknown): KnownError {
  return new KnownError("local/failed", `there is no room left on the disk of ${root}`, {
    hint: "make room there, or set PASSWORDLESS_PG_HOME to a folder with more space",
    cause,
  });
}
