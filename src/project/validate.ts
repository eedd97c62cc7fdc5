import { Ajv, type ErrorObject } from "ajv";
import schema from "./schema.json" with { type: "json" };

/** All departures of a project file from its JSON Schema (draft-07), not only the first. */
export function validateProject(file: unknown): readonly ErrorObject[] {
  const check = new Ajv({ allErrors: true, strict: false }).compile(schema);
  if (check(file)) return [];
  return (check.errors ?? []).filter((error) => error.keyword !== "propertyNames" || error.message !== "property name must be valid");
}
