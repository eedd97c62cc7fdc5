/** Names whose values are secrets, wherever words from outside hold `name=value` or JSON. */
const SECRET_NAME =
  "password|passwd|passphrase|pwd|secret|api[-_]?key|account[-_]?key|shared[-_]?access[-_]?key|access[-_]?token|refresh[-_]?token|id[-_]?token|assertion|x-identity-header|identity[-_]header";

/** A value without quotes that is no `$(command)`, as our own hints have it. */
const BARE = String.raw`[^\s"'\\,;&<>$][^\s"\\,;&<>]*`;
/** What stands between two quotes, escaped quotes too; none that begins with `$(`. */
const IN_DOUBLE = String.raw`(?!\$)(?:[^"\\]|\\[\s\S])+`;
const IN_SINGLE = String.raw`(?!\$)(?:[^'\\]|\\[\s\S])+`;
/** The same between two `\"` of JSON within JSON, where an escaped quote has three backslashes. */
const IN_ESCAPED = String.raw`(?!\$)(?:[^"\\]|\\\\\\["\\]|\\\\[^"\\]|\\[^"\\])+`;

/** `"password": "value"` of JSON itself: what stays is JSON. */
const MEMBER = new RegExp(String.raw`((?:${SECRET_NAME})"\s*:\s*")(?:[^"\\]|\\[\s\S])+`, "gi");
/** `password=`, `password: ` and, with the quotes of JSON around it, `"password": `. */
const BEFORE_QUOTED = String.raw`(?:${SECRET_NAME})(?:\\?["'])?\s*[:=]\s*`;

const PATTERNS: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/(authorization\\?["']?\s*[:=]\s*\\?["']?)(?:bearer|basic|negotiate)\s+[^\s"'\\,;]+/gi, "$1<secret>"],
  // A JWT, also one that was cut off in its middle.
  [/eyJ[\w-]{10,}(?:\.[\w-]*){0,4}/g, "<token>"],
  [/-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?/g, "<private key>"],
  [/([?&]sig=)[^\s"'\\&]+/gi, "$1<secret>"],
  [/\b(bearer)\s+[\w.~+/-]{20,}=*/gi, "$1 <token>"],
  // scheme://user:password@host
  [/(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@"']{0,200}):[^\s/"'\\]{1,2000}@/gi, "$1:<secret>@"],
  [new RegExp(String.raw`((?:${SECRET_NAME})(?:\s*=\s*|[ \t]*:[ \t]*(?![{[])))${BARE}`, "gi"), "$1<secret>"],
  // A quoted value may hold what ends a bare one.
  [new RegExp(`(${BEFORE_QUOTED}")${IN_DOUBLE}`, "gi"), "$1<secret>"],
  [new RegExp(`(${BEFORE_QUOTED}')${IN_SINGLE}`, "gi"), "$1<secret>"],
  [new RegExp(String.raw`(${BEFORE_QUOTED}\\")${IN_ESCAPED}`, "gi"), "$1<secret>"],
];

/** Takes out of any words what may be a token or a password: JWTs, authorization headers, passwords in URLs, connection strings and JSON. */
export function redact(words: string): string {
  let clean = words;
  for (const [pattern, instead] of PATTERNS) clean = clean.replace(pattern, instead);
  return clean;
}

/** The same for JSON text, which stays JSON: each string in it is cleaned by itself, with `clean`, which is or holds `redact`. */
export function redactJson(json: string, clean: (words: string) => string = redact): string {
  const cleaned = json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, (text) => {
    const words = String(JSON.parse(text));
    const cleanWords = clean(words);
    return cleanWords === words ? text : JSON.stringify(cleanWords);
  });
  return cleaned.replace(MEMBER, "$1<secret>");
}
