import type { CheckResult } from "../../checks/check.ts";
import { type Paint, safeText } from "../terminal/style.ts";

export function checkLine(check: CheckResult, colors: Paint): string {
  const head = `${check.ok ? colors.green("✓") : colors.red("✗")} ${check.name}  ${colors.dim(safeText(check.detail, 500).replaceAll("\n", " "))}`;
  const meaning = check.ok || !check.meaning ? "" : `\n  ${check.meaning}`;
  return check.ok || !check.hint ? head : `${head}${meaning}\n  → ${safeText(check.hint)}`;
}

export function checksBody(checks: readonly CheckResult[]): object {
  return { ok: checks.every(({ ok }) => ok), checks };
}
