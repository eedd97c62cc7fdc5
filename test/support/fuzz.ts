import fc from "fast-check";

/**
 * How often a property is tried: `usual` in `npm test`, always from the same seed, so that a change is judged by what it changes; with
 * PPG_FUZZ_RUNS more often and from a new seed each time. A failure prints seed and path, to be given to fast-check.
 */
export function runs(usual: number): { readonly numRuns: number; readonly seed?: number } {
  const asked = Number(process.env.PPG_FUZZ_RUNS);
  // Slow properties keep their share.
  return asked > 0 ? { numRuns: Math.max(usual, Math.round((asked * usual) / 1000)) } : { numRuns: usual, seed: 20_261_122 };
}

/** Nested `depth` times: `[[[…]]]`. Text, because a value so deep cannot be written by JSON.stringify. */
export function deepJson(depth: number, open = "[", close = "]"): string {
  return `${open.repeat(depth)}${open === "[" ? "" : "0"}${close.repeat(depth)}`;
}

/** Values that readers of JSON trip over. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, "", " ", "null", [], [[]], [null], {}, { "": null }, { a: [{}] }),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "\0",
    "\ud800",
    "\u001b[2J",
    "../..",
    "é🫖",
    "a\r\nb: c",
    "{{x}}",
    "'; drop",
    "%00",
  ),
  fc.constantFrom("x".repeat(300), "x".repeat(70_000)),
  fc.constantFrom(["a", 1, null], { value: {} }, { name: 1, value: null }, [{ name: "constructor" }]),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Property names that reach where they should not. */
const oddKey = fc.constantFrom("__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "", "0", "\0", "a.b", "a/b", "é");

/** The valid value with some places replaced, dropped or added to: reaches deeper into a reader than values of chance. */
export function mutated(valid: unknown): fc.Arbitrary<unknown> {
  const change = fc.tuple(fc.nat(), fc.constantFrom("replace", "drop", "add", "wrap"), oddValue, oddKey);
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    let root = structuredClone(valid);
    for (const [at, kind, odd, key] of changes) {
      const value = structuredClone(odd);
      const places = placesOf(root);
      const place = places[at % places.length];
      if (!place) root = value;
      else if (kind === "drop") delete (place.holder as Record<string, unknown>)[place.key];
      else if (kind === "add") define(place.holder, key, value);
      else define(place.holder, place.key, kind === "wrap" ? [(place.holder as Record<string, unknown>)[place.key]] : value);
    }
    return root;
  });
}

interface Place {
  readonly holder: object;
  readonly key: string;
}

/** The root (`undefined`) and every member below it. */
function placesOf(value: unknown): readonly (Place | undefined)[] {
  const found: (Place | undefined)[] = [undefined];
  const walk = (holder: unknown): void => {
    if (typeof holder !== "object" || holder === null) return;
    for (const key of Object.keys(holder)) {
      found.push({ holder, key });
      walk((holder as Record<string, unknown>)[key]);
    }
  };
  walk(value);
  return found;
}

/** As JSON.parse does it: `__proto__` becomes a member like any other. */
function define(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}
