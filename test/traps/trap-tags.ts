import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** A test, or a row of a test that has many, as a person finds it: `cloud/sql.test.ts` › title [row]. */
export interface TaggedTest {
  readonly file: string;
  readonly title: string;
  readonly row?: string;
  /** What runs against Azure, played or local; or local Azure itself. */
  readonly side: "client" | "emulator";
  /** `postgres 12`: page and number of a trap. */
  readonly traps: readonly string[];
  /** Texts that stand in it, for the recordings that it plays. */
  readonly texts: ReadonlySet<string>;
}

const TAG = /^\/\/ trap: (.+)$/;

/** Every test below `folder`, with the tags in the comment above it or above one of its rows. */
export function taggedTests(folder: string): TaggedTest[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  return names.sort().flatMap((file) => testsIn(file, readFileSync(join(folder, file), "utf8")));
}

function testsIn(file: string, text: string): TaggedTest[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const side = /^emulator\/|traps-emulator/.test(file) ? "emulator" : "client";
  const found: TaggedTest[] = [];
  const visit = (node: ts.Node): void => {
    const title = ts.isCallExpression(node) && ts.isExpressionStatement(node.parent) ? titleOf(node) : undefined;
    if (title === undefined || !ts.isCallExpression(node)) {
      ts.forEachChild(node, visit);
      return;
    }
    const rows = rowsOf(node, source);
    const bodyTexts = rows.length === 0 ? textsIn(node) : textsIn(...node.arguments);
    found.push({ file, title, side, traps: tagsOf(node.parent, text), texts: bodyTexts });
    for (const row of rows) {
      const [first = ""] = textsIn(row);
      found.push({ file, title, row: first, side, traps: tagsOf(row, text), texts: textsIn(row) });
    }
  };
  visit(source);
  return found;
}

/** Of a call of `it`, `test` or one made of them, with or without rows; `describe` is none. */
function titleOf(call: ts.CallExpression): string | undefined {
  const [title, ...rest] = call.arguments;
  const isNamed = title !== undefined && ts.isStringLiteralLike(title) && rest.length > 0;
  return isNamed && !/^describe\b/.test(call.expression.getText()) ? title.text : undefined;
}

/** The elements of `it.each([…])`, also where the list has a name of the same file. */
function rowsOf({ expression }: ts.CallExpression, source: ts.SourceFile): readonly ts.Expression[] {
  const table = ts.isCallExpression(expression) ? expression.arguments[0] : undefined;
  const list = bare(table && ts.isIdentifier(table) ? constantOf(table.text, source) : table);
  return list && ts.isArrayLiteralExpression(list) ? list.elements : [];
}

function constantOf(name: string, source: ts.SourceFile): ts.Expression | undefined {
  const declarations = source.statements.filter(ts.isVariableStatement).flatMap(({ declarationList }) => [...declarationList.declarations]);
  return declarations.find((one) => one.name.getText() === name)?.initializer;
}

/** Without its `as const`. */
function bare(list: ts.Expression | undefined): ts.Expression | undefined {
  return list && ts.isAsExpression(list) ? list.expression : list;
}

function tagsOf(node: ts.Node, text: string): string[] {
  const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
  return comments.flatMap(({ pos, end }) => TAG.exec(text.slice(pos, end))?.[1]?.split(", ") ?? []);
}

function textsIn(...nodes: readonly ts.Node[]): Set<string> {
  const texts = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) texts.add(node.text);
    ts.forEachChild(node, visit);
  };
  nodes.forEach(visit);
  return texts;
}
