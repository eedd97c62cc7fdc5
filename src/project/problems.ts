import type { ErrorObject } from "ajv";
import { KnownError } from "../base/errors.ts";

/** One thing that is wrong with a project file: `text` begins with where. */
export interface Problem {
  readonly code: "schema" | "environment-unknown" | "runtime-unknown" | "name-invalid" | "setting-refused" | "apps-clash";
  readonly text: string;
}

/** What is shown of all problems, and of one. */
const SHOWN_PROBLEMS = 50;
const SHOWN_LENGTH = 300;

/** A departure from the JSON Schema, by the place and the rule. */
export function schemaProblem(error: ErrorObject): Problem {
  return { code: "schema", text: describeSchemaError(error) };
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

/** One `KnownError` "project/invalid" that lists all problems. */
export function invalidProject(problems: readonly Problem[]): KnownError {
  const shown = problems
    .slice(0, SHOWN_PROBLEMS)
    .map(({ text }) => (text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text).replaceAll("\n", " "));
  const more = problems.length > SHOWN_PROBLEMS ? [`and ${problems.length - SHOWN_PROBLEMS} more`] : [];
  const list = [...shown, ...more].map((problem) => `  - ${problem}`).join("\n");
  return new KnownError("project/invalid", `the project file has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${list}`, {
    hint: problems.some(({ code }) => code === "runtime-unknown")
      ? "name the folder of your app, or begin with one of ours: `passwordless-pg init --template fastapi`"
      : "correct passwordless-pg.json; its $schema tells an editor what each part may be",
  });
}
