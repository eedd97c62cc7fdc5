import type { ErrorObject } from "ajv";
import { KnownError } from "../base/errors.ts";

/** One thing that is wrong in a project file. */
export interface Problem {
  /** Where and what: `apps.api.name "x": 2-60 letters, …` */
  readonly text: string;
  /** What to do, where it is something else than to correct the file. */
  readonly hint?: string;
}

/** What is shown of all problems, and of one. */
const SHOWN_PROBLEMS = 50;
const SHOWN_LENGTH = 300;

export function schemaProblem(error: ErrorObject): Problem {
  return { text: describeSchemaError(error) };
}

function describeSchemaError(error: ErrorObject): string {
  const where = error.instancePath.slice(1).replaceAll("/", ".") || "the file";
  const { params } = error as { params: Record<string, unknown> };
  if (error.keyword === "additionalProperties") return `${where}: unknown key "${String(params.additionalProperty)}"`;
  if (error.keyword === "required") return `${where}: "${String(params.missingProperty)}" is missing`;
  if (error.keyword === "enum") return `${where}: must be one of ${(params.allowedValues as unknown[]).join(", ")}`;
  if (error.propertyName !== undefined) return `${where}: the name "${error.propertyName}" must match ${String(params.pattern)}`;
  if (error.keyword === "pattern") return `${where}: must match ${String(params.pattern)}`;
  return `${where}: ${error.message ?? "is not as the schema says"}`;
}

/** All of them in one error, "project/invalid". */
export function invalidProject(problems: readonly Problem[]): KnownError {
  const shown = problems
    .slice(0, SHOWN_PROBLEMS)
    .map(({ text }) => (text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text).replaceAll("\n", " "));
  const more = problems.length > SHOWN_PROBLEMS ? [`and ${problems.length - SHOWN_PROBLEMS} more`] : [];
  const list = [...shown, ...more].map((problem) => `  - ${problem}`).join("\n");
  return new KnownError("project/invalid", `the project file has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${list}`, {
    hint: problems.find(({ hint }) => hint)?.hint ?? "correct passwordless-pg.json; its $schema tells an editor what each part may be",
  });
}
