import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import type { ProjectFacts } from "../../src/checks/facts.ts";
import { projectChecks } from "../../src/graph/project-checks.ts";
import { createSetup } from "../../src/project/setup.ts";
import { validateProject } from "../../src/project/validate.ts";
import { shopFile } from "../support/spoilt.ts";

// Names, codes and repairs of all checks; none of them looks here, so that the setup is the only fact that is there.
const setup = createSetup({ name: "shop", ...shopFile }, { folder: "/", suffix: "t3st", detected: {}, validate: validateProject });
const checks = projectChecks({ context: { setup }, sites: setup.sites.map((app) => ({ context: { setup }, app })) } as ProjectFacts);

test("codes and names are unique, and each check says what it leads to and what repairs it", () => {
  expect(duplicatesOf(checks.map(({ code }) => code))).toEqual([]);
  expect(duplicatesOf(checks.map(({ name }) => name))).toEqual([]);
  for (const { code, meaning, repair } of checks) expect([meaning, repair], code).not.toContain("");
});

test("a proof that has the name of a check is that check alone", () => {
  const named = checks.filter(({ name }) => checks.some(({ proof }) => proof === name));
  for (const { name } of named) expect(checks.filter(({ proof }) => proof === name).map((part) => part.name)).toEqual([name]);
});

test("verify proves these links", () => {
  expect([...new Set(checks.map(({ proof }) => proof))].filter((proof) => proof !== undefined)).toEqual([
    "server is ready",
    "server takes Entra tokens only",
    "firewall lets the apps in",
    "firewall is narrow",
    "no firewall opening is left",
    "caller is Entra administrator",
    "caller signs in to PostgreSQL over verified TLS",
    "database exists",
    "api: web app runs, HTTPS only",
    "api: managed identity is on",
    "api: basic publishing credentials are off",
    "api: TLS 1.2 or newer, FTPS off",
    "api: service connection names the role",
    "api: settings are complete",
    "api: settings hold no secret",
    "api: app answers",
    "api: code is there",
    "api: app signs in with its token",
    "api: app writes and reads a row",
    "api: role is labelled with the identity",
    "api: role is not privileged",
    'api: access is exactly "owner"',
  ]);
});

test("no check of doctor is without a test in this folder that makes it fail", () => {
  const provoked = new Set(
    readdirSync(import.meta.dirname).flatMap((file) => expectedWrong(readFileSync(join(import.meta.dirname, file), "utf8"))),
  );
  expect(checks.filter(({ name, writes }) => !writes && !provoked.has(name)).map(({ name }) => name)).toEqual([]);
});

function duplicatesOf(words: readonly string[]): string[] {
  return words.filter((word, index) => words.indexOf(word) !== index);
}

/** The names that a test file says are found: in a batch's `found`, or in a call that expects them. */
function expectedWrong(text: string): string[] {
  const names: string[] = [];
  const take = (node: ts.Node): void => {
    if (ts.isStringLiteral(node)) names.push(node.text);
    ts.forEachChild(node, take);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === "found") take(node.initializer);
    if (ts.isCallExpression(node) && /^expect(Among)?Wrong$|^expectAt$/.test(node.expression.getText())) node.arguments.forEach(take);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("test.ts", text, ts.ScriptTarget.ESNext, true));
  return names;
}
