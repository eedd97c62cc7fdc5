import { KnownError } from "../base/errors.ts";
import { isUnregistered } from "../cloud/arm.ts";
import { hintIn } from "../cloud/hints.ts";
import { type BoundCheck, type CheckResult, toFinding } from "./check.ts";
import type { CheckContext } from "./shared-facts.ts";

export interface DoctorContext extends CheckContext {
  onCheck?(check: CheckResult): void;
}

/**
 * Looks at everything along the chain; changes nothing but for the firewall (one address while it looks, given back by the caller).
 * A check whose subject is absent or out of reach is left out: the absence has a check of its own. Throws only on Ctrl-C and bugs.
 */
export async function examineAll(checks: readonly BoundCheck[], context: DoctorContext): Promise<CheckResult[]> {
  const results = await Promise.all(checks.filter(({ writes }) => !writes).map((check) => examine(check, context)));
  return results.filter((result) => result !== undefined);
}

async function examine(check: BoundCheck, { cloud, onCheck }: DoctorContext): Promise<CheckResult | undefined> {
  const finding = await check.look().catch((error: unknown) => (isToldElsewhere(error) ? undefined : toFinding(error)));
  if (!finding) return undefined;
  const { name, code, meaning, repair } = check;
  const { ok, detail, hint = repair } = finding;
  const result = ok ? { name, code, ok, detail } : { name, code, ok, detail, meaning, hint: hintIn(cloud.environment, hint) };
  onCheck?.(result);
  return result;
}

/** Absence, refused logins and resource providers have checks of their own. */
function isToldElsewhere(error: unknown): boolean {
  if (!(error instanceof KnownError)) return false;
  return isUnregistered(error) || error.code === "azure/not-found" || error.code.startsWith("database/");
}
