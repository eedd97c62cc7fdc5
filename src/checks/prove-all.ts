import { type Hinted, hintIn } from "../cloud/hints.ts";
import { type BoundCheck, type CheckResult, type Finding, toFinding } from "./check.ts";
import type { CheckContext } from "./shared-facts.ts";

export interface VerifyContext extends Omit<CheckContext, "areRestarting" | "packageHash"> {
  readonly marker: string;
  onCheck?(check: CheckResult): void;
}

/**
 * Proves the chain from the control plane to a row that the app wrote and read with its token: a proof holds when all checks that are part of
 * it are well. Every check looks, also after others failed; one that cannot look is not ok. Throws only on Ctrl-C and bugs.
 */
export async function proveAll(checks: readonly BoundCheck[], context: VerifyContext): Promise<CheckResult[]> {
  const proofs = new Map<string, BoundCheck[]>();
  for (const check of checks) {
    if (check.proof !== undefined) proofs.set(check.proof, [...(proofs.get(check.proof) ?? []), check]);
  }
  return Promise.all(
    [...proofs].map(async ([name, parts]) => {
      const result = proofOf(name, await Promise.all(parts.map(examine)), context.cloud.environment);
      context.onCheck?.(result);
      return result;
    }),
  );
}

interface Part {
  readonly check: BoundCheck;
  /** `undefined`: it does not apply. */
  readonly finding: Finding | undefined;
  /** It could not look: what it would lead to is not known to be so. */
  readonly isBlind: boolean;
}

async function examine(check: BoundCheck): Promise<Part> {
  try {
    return { check, finding: await check.look(), isBlind: false };
  } catch (error) {
    return { check, finding: toFinding(error), isBlind: true };
  }
}

/** All parts that apply are well, or what of them is not. */
function proofOf(name: string, parts: readonly Part[], environment: Hinted): CheckResult {
  const applying = parts.filter(({ finding }) => finding !== undefined);
  const wrong = applying.length === 0 ? parts : applying.filter(({ finding }) => finding?.ok === false);
  const detailOf = (some: readonly Part[], by: string): string =>
    unique(
      some.map(({ finding }) => finding?.detail ?? "not looked at"),
      by,
    );
  if (wrong.length === 0) return { name, code: parts[0]?.check.code ?? "", ok: true, detail: detailOf(applying, ", ") };
  const [first] = wrong;
  const { code = "", meaning = "" } = first?.check ?? {};
  const hint = unique(
    wrong.map(({ check, finding }) => hintIn(environment, finding?.hint ?? check.repair)),
    "; ",
  );
  return { name, code, ok: false, detail: detailOf(wrong, "; "), ...(!first?.isBlind && { meaning }), hint };
}

function unique(texts: readonly string[], by: string): string {
  return [...new Set(texts)].join(by);
}
