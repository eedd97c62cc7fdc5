import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import schema from "./schema.json" with { type: "json" };

/** Compiled at its first use: that takes longer than any check. */
let compiled: ValidateFunction | undefined;

/** All departures of a project file from its JSON Schema (draft-07), not only the first. */
export function validateProject(file: unknown): readonly ErrorObject[] {
  compiled ??= new Ajv({ allErrors: true, strict: false }).compile(schema);
  if (compiled(file)) return [];
  return (compiled.errors ?? []).filter((error) => error.keyword !== "propertyNames" || error.message !== "property name must be valid");
}
