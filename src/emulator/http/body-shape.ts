import { type ArmError, armError } from "./arm-error.ts";

/** JSON type of a member; `null` and absence are every type. `scalar` is what can be written as text: text, number, true or false. */
type MemberType = "text" | "number" | "flag" | "scalar" | "object" | "list";

/** Types by path: `properties.siteConfig.appSettings.*.name`; `*` is every member of an object or list. What is not named may be anything. */
export type BodyShape = Readonly<Record<string, MemberType>>;

/** Refuses a body whose members have other types than the shape's, as ARM does when it reads one into its own classes (words inferred). */
export function checkShape(body: unknown, shape: BodyShape): void {
  if (body === undefined || body === null) return;
  if (!fits(body, "object")) throw invalid("", "object");
  for (const [path, type] of Object.entries(shape)) checkPath(body, path.split("."), type, "");
}

function checkPath(value: unknown, path: readonly string[], type: MemberType, where: string): void {
  const [step, ...rest] = path;
  if (step === undefined) {
    if (!fits(value, type)) throw invalid(where, type);
    return;
  }
  if (typeof value !== "object" || value === null) return; // the shape names the holder's own type
  const below = (key: string): void =>
    checkPath((value as Record<string, unknown>)[key], rest, type, where === "" ? key : `${where}.${key}`);
  if (step !== "*") {
    if (Object.hasOwn(value, step)) below(step);
    return;
  }
  const isList = Array.isArray(value);
  for (const key of Object.keys(value)) {
    // A list of objects has no gaps.
    if (isList && rest.length === 0 && value[Number(key)] === null) throw invalid(`${where}.${key}`, type);
    below(key);
  }
}

function fits(value: unknown, type: MemberType): boolean {
  if (value === undefined || value === null) return true;
  switch (type) {
    case "text":
      return typeof value === "string";
    case "number":
      return Number.isFinite(value);
    case "flag":
      return typeof value === "boolean";
    case "scalar":
      return typeof value !== "object";
    case "object":
      return typeof value === "object" && !Array.isArray(value);
    case "list":
      return Array.isArray(value);
  }
}

function invalid(where: string, type: MemberType): ArmError {
  const path = where.slice(0, 200);
  return armError(
    400,
    "InvalidRequestContent",
    `The request content was invalid and could not be deserialized: 'Error converting value to type ${type}. Path '${path}'.'.`,
  );
}
