/** The part of JSON Schema that the project file's schema uses. */
export interface SchemaPart {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaPart>>;
  readonly additionalProperties?: SchemaPart | boolean;
  readonly definitions?: Readonly<Record<string, SchemaPart>>;
}

export interface Key {
  /** `apps.KEY.plan` */
  readonly path: string;
  readonly isRequired: boolean;
  readonly schema: SchemaPart;
}

/** Begins, in the description of every key, what a change of it does to what is there. */
export const CHANGED_LATER = "Changed later: ";

/** Every key of the file once, in the schema's order. A key of an environment is that of the same name outside. */
export function keysOf(root: SchemaPart): readonly Key[] {
  const resolve = (part: SchemaPart): SchemaPart => (part.$ref ? resolve(partAt(root, part.$ref)) : part);
  const below = (part: SchemaPart, prefix: string): readonly Key[] =>
    Object.entries(part.properties ?? {}).flatMap(([name, child]) => {
      const schema = resolve(child);
      const path = `${prefix}${name}`;
      const entry = typeof schema.additionalProperties === "object" ? resolve(schema.additionalProperties) : {};
      const inside = name === "environments" ? [] : [...below(schema, `${path}.`), ...below(entry, `${path}.KEY.`)];
      return [{ path, isRequired: part.required?.includes(name) === true, schema }, ...inside];
    });
  return below(root, "");
}

function partAt(root: SchemaPart, reference: string): SchemaPart {
  const steps = reference.replace(/^#\//, "").split("/");
  return steps.reduce<SchemaPart>((part, step) => (part as Readonly<Record<string, SchemaPart>>)[step] ?? {}, root);
}

/** `docs/project-file.md`: the schema for people. */
export function projectFilePage(root: SchemaPart): string {
  return [HEAD, ...keysOf(root).map(section)].join("\n");
}

function section({ path, isRequired, schema }: Key): string {
  const [meaning = "", change = ""] = (schema.description ?? "").split(CHANGED_LATER);
  const code = (value: unknown): string => `\`${JSON.stringify(value)}\``;
  const facts = [
    isRequired ? "required" : undefined,
    schema.enum ? schema.enum.map(code).join(", ") : schema.type,
    schema.pattern && schema.pattern !== ANYTHING ? `must match \`${schema.pattern}\`` : undefined,
    schema.default === undefined ? undefined : `default ${code(schema.default)}`,
    schema.examples && `for example ${schema.examples.map(code).join(" or ")}`,
  ];
  const shown = facts.filter((fact) => fact !== undefined).join(" · ");
  return `## \`${path}\`\n\n${shown}\n\n${meaning.trim()}\n\n**${CHANGED_LATER.trim()}** ${change}\n`;
}

/** Any text without a NUL. */
const ANYTHING = "^[^\\u0000]*$";

const HEAD = `# The project file, \`passwordless-pg.json\`

Generated from \`src/project/schema.json\`: \`UPDATE=1 npx vitest run --project unit test/project/project-file-page.test.ts\`.
Only \`name\` must be there; \`passwordless-pg plan\` shows what follows from the rest, before anything is changed. Unknown keys are refused.

\`\`\`json
{
  "$schema": "./passwordless-pg.schema.json",
  "name": "shop",
  "location": "eastus",
  "server": { "name": "shop-db-7f3a", "sku": "Standard_B1ms" },
  "apps": {
    "api": { "name": "shop-api-7f3a", "runtime": "python|3.12", "path": "backend", "health": "/healthz" },
    "report": { "name": "shop-report-7f3a", "runtime": "node|22-lts", "path": "report", "access": "read" }
  },
  "environments": { "staging": { "server": { "storageGb": 64 } } }
}
\`\`\`
`;
