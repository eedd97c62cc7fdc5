import type { PackageUse } from "./package.ts";

/** What OneDeploy does with a package of this type, or why not. Types for Java have no place on the stacks of local Azure (texts inferred). */
export function packageUse(query: URLSearchParams): PackageUse | string {
  const type = (query.get("type") ?? "zip").toLowerCase();
  const path = (parameter(query, "path") ?? "").replace(/^\/+(home\/site\/wwwroot\/+)?/i, "");
  switch (type) {
    case "zip":
      return { keepsFiles: parameter(query, "clean")?.toLowerCase() === "false" };
    case "static":
      return path === "" ? "Path must be defined for type='static'" : { keepsFiles: true, fileName: path };
    case "startup":
      return { keepsFiles: true, fileName: path || "startup.sh" };
    case "war":
    case "jar":
    case "ear":
    case "lib":
    case "script":
      return `Local Azure does not deploy type='${type}'.`;
    default:
      return `type='${type}' not recognized`;
  }
}

/** A parameter of the query, whatever the case of its name. */
function parameter(query: URLSearchParams, name: string): string | undefined {
  return [...query].find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

export function isTrue(query: URLSearchParams, name: string): boolean {
  return parameter(query, name)?.toLowerCase() === "true";
}
