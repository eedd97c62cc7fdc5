import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { loadModule, parseSync } from "libpg-query";
import ts from "typescript";

/** One statement as the source has it, with stand-ins for what is filled in while it runs. */
export interface SqlText {
  /** `principals.ts:211` */
  readonly where: string;
  readonly text: string;
}

const STATEMENT =
  /^\s*(SELECT|WITH|INSERT|UPDATE|DELETE|GRANT|REVOKE|ALTER|CREATE|DROP|REASSIGN|COMMENT|UNION|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|SET|DO)\b/;

/**
 * Every SQL statement that the files of a folder send, found in their source: a new query is there by itself. A constant that is put into a
 * statement is put in here too, also one of another file; any other value stands as `x`.
 */
export function sqlTextsOf(folder: string): SqlText[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return names.flatMap((name) => {
    const source = sourceOf(join(folder, name));
    const constants = constantsOf(source);
    const found: SqlText[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
        const text = textOf(node, constants);
        const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        if (STATEMENT.test(text)) found.push({ where: `${name}:${line}`, text });
      } else ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

const sourceOf = (path: string): ts.SourceFile => ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);

/** By name: the text of a constant that is one. */
type Constants = ReadonlyMap<string, () => string>;

/** Of a file, and of the files it imports from. */
function constantsOf(source: ts.SourceFile): Constants {
  const found = new Map<string, () => string>();
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      for (const { name, initializer } of statement.declarationList.declarations) {
        const isText = initializer && (ts.isStringLiteralLike(initializer) || ts.isTemplateExpression(initializer));
        if (ts.isIdentifier(name) && isText) found.set(name.text, () => textOf(initializer, found));
      }
    }
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
    const { text: from } = statement.moduleSpecifier;
    const bindings = statement.importClause?.namedBindings;
    if (!from.startsWith(".") || !bindings || !ts.isNamedImports(bindings)) continue;
    const theirs = (name: string) => () => constantsOf(sourceOf(resolve(dirname(source.fileName), from))).get(name)?.() ?? "x";
    for (const { name, propertyName } of bindings.elements) found.set(name.text, theirs((propertyName ?? name).text));
  }
  return found;
}

function textOf(node: ts.Expression, constants: Constants): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isIdentifier(node)) return constants.get(node.text)?.() ?? "x";
  if (!ts.isTemplateExpression(node)) return "x";
  const text = node.head.text + node.templateSpans.map(({ expression, literal }) => textOf(expression, constants) + literal.text).join("");
  return text.replaceAll("(x)", "(SELECT 1)"); // a query that another file has: it is looked at there
}

/** What a statement calls and reads, by name: `["pg_catalog", "format"]`, `["format"]`. */
export interface SqlNames {
  readonly functions: readonly { readonly name: readonly string[]; readonly argumentCount: number }[];
  readonly operators: readonly (readonly string[])[];
  /** Tables and views; what the statement itself names in a WITH is left out. */
  readonly relations: readonly (readonly string[])[];
  /** Texts that are read as the name of an object: `'pg_class'::regclass`. */
  readonly objects: readonly string[];
}

type Tree = { readonly [key: string]: unknown };

/** PostgreSQL's own parser says what is in a statement. Throws its syntax error. */
export async function namesIn(text: string): Promise<SqlNames> {
  await loadModule();
  const functions: SqlNames["functions"][number][] = [];
  const operators: (readonly string[])[] = [];
  const relations: (readonly string[])[] = [];
  const objects: string[] = [];
  const own = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const entry of node) visit(entry);
    if (typeof node !== "object" || node === null || Array.isArray(node)) return;
    const { FuncCall, A_Expr, RangeVar, CommonTableExpr, TypeCast } = node as Readonly<Record<string, Tree | undefined>>;
    if (FuncCall) functions.push({ name: words(FuncCall.funcname), argumentCount: list(FuncCall.args).length });
    if (A_Expr) operators.push(words(A_Expr.name));
    if (RangeVar) relations.push([RangeVar.schemaname, RangeVar.relname].filter((word) => typeof word === "string"));
    if (CommonTableExpr) own.add(String(CommonTableExpr.ctename));
    if (TypeCast && /^reg/.test(words((TypeCast.typeName as Tree).names).at(-1) ?? "")) {
      const constant = (TypeCast.arg as { A_Const?: { sval?: { sval?: string } } }).A_Const?.sval?.sval;
      if (constant !== undefined) objects.push(constant);
    }
    for (const value of Object.values(node)) visit(value);
  };
  visit(parseSync(/^\s*UNION/.test(text) ? `SELECT ${text}` : text));
  return { functions, operators, relations: relations.filter((name) => name.length > 1 || !own.has(name[0] ?? "")), objects };
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const words = (value: unknown): string[] => list(value).map((entry) => (entry as { String?: { sval?: string } }).String?.sval ?? "");
