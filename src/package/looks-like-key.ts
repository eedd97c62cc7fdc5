import { withoutCopyMarks } from "./always-left-out.ts";

/** So much of a file's beginning is looked at: keys and credentials are small, and packing may not become slow. */
export const looksLikeKeyBytes = 256 * 1024;

/** Names of files that hold nothing but a key or credentials, with what they look like. */
const NAMED: readonly (readonly [RegExp, string])[] = [
  [/^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:[._-](?!pub$)[^.]*)?$/, "an SSH key"],
  [/\.ppk$/, "an SSH key"],
  [/\.(?:pfx|p12|pkcs12|jks|jceks|keystore|bks)$/, "a store of private keys"],
  [/\.kdbx?$/, "a password safe"],
  [/^service[-_.]?account.*\.json$|firebase-adminsdk.*\.json$|^gcp[-_]?key.*\.json$/, "a Google service account"],
  [/^client[-_]secrets?.*\.json$/, "a client secret"],
  [/(?:^|[._-])credentials(?:\.(?:json|csv|ini|ya?ml|toml|txt|xml))?$/, "credentials"],
  [/^(?:\.?secrets?|api[-_]?keys?)\.(?:json|ya?ml|toml|ini|txt)$|^\.secrets?$/, "secrets"],
  [/^(?:accesskeys|rootkey)\.csv$|_accesskeys\.csv$/, "access keys of AWS"],
  [
    /^(?:(?:prod|dev|staging|test|qa|uat)[._-])?(?:secrets?|credentials|creds)(?:[._-](?:prod(?:uction)?|dev(?:elopment)?|stag(?:e|ing)|test|local|qa|uat))?\.(?:json|ya?ml|toml|ini|txt|csv|xml)$/,
    "secrets",
  ],
  [/^kube[._-]?config(?:[._-].*)?$|\.kubeconfig$/, "credentials of a Kubernetes cluster"],
  [/^azureauth\.json$|\.azureauth$/, "a sign-in of an Azure SDK"],
  [/^(?:secring\.gpg|private.*\.der|.*[._-]private\.der)$/, "a private key, by its name"],
  [
    /^(?:accesstokens\.json|azureprofile\.json|msal_token_cache\.(?:json|bin)|service_principal_entries\.json)$/,
    "a sign-in of the Azure CLI",
  ],
  [/^\.?vault[-_]pass(?:word)?(?:\.txt)?$/, "a vault's password"],
];

/**
 * Settings of package managers and clients that builds need, and that now and then hold a secret as a plain value. Each is asked of one line
 * without its blanks around, of bounded length.
 */
const SETTINGS: readonly (readonly [RegExp, RegExp, string])[] = [
  [/^\.npmrc$/, /^(?![#;])[^=]*_(?:authToken|auth|password)\s?=\s?["']?(?!\$\{|["'\s]|$)/i, "an npm token"],
  [/^\.yarnrc(?:\.yml)?$/, /^["']?(?:npmAuthToken|npmAuthIdent)["']?\s?:\s?["']?(?!\$\{|["'\s#]|$)/i, "an npm token"],
  [/^(?:auth|bunfig)\.toml$/, /(?:password|token)\s?=\s?["'](?!\$|["'])/i, "credentials"],
  [/^\.?pg_service\.conf$/, /^password\s?=\s?\S/i, "a database password"],
  [/^nuget\.config$/, /key="cleartextpassword"\s?value="(?!%)[^"]/i, "a password of a package feed"],
  [/^settings\.xml$/, /<password>(?!\$\{)[^<\s]/i, "a password of a package feed"],
  [/^auth\.json$/, /"(?:password|auth|identitytoken)"\s?:\s?"[^"]|"github-oauth"\s?:\s?\{\s?"/i, "a sign-in"],
];

const URL_WITH_PASSWORD = /:\/\/[^/\s:@"']+:(?!\$\{?\w)[^/\s@"']+@/;
const URL_SETTINGS = /^(?:\.npmrc|\.yarnrc(?:\.yml)?|\.?pip\.(?:conf|ini)|requirements[\w.-]*\.txt|\.condarc|bunfig\.toml|uv\.toml)$/;

/** By name most likely a key; what is inside may say that it is a certificate or something else altogether. */
const MAYBE_KEY = /\.(?:pem|key)$/;

/** Every name above holds one of these: for thousands of other files it is the only question. */
const WORTH_A_LOOK =
  /id_|ppk|pfx|p12|pkcs12|jks|jceks|bks|kdb|key|pem|account|firebase|gcp|client|secret|creds|credentials|kube|token|auth|azureprofile|principal|private|secring|vault|npmrc|yarnrc|toml|conf|ini|condarc|requirements|settings/;

/** A key's first line with its beginning behind it, also in one line of JSON, YAML or code; an empty or invented one is no key. */
const PRIVATE_KEY =
  /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s"'+,\\rn]*(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset):[^\n\\]*[\n\\][\s\\rn]*)*[A-Za-z0-9+/=]{32}/;
/** Keys in forms of their own, each with a word that nothing else has: SSH's second form, age, a certificate's key in a Kubernetes configuration. */
const OTHER_KEYS: readonly (readonly [string, RegExp, string])[] = [
  ["BEGIN SSH2", /---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----/, "an SSH key"],
  ["AGE-SECRET-KEY-", /AGE-SECRET-KEY-1[A-Z0-9]{50}/, "a private key"],
  ["client-key-data", /client-key-data["']?\s?:\s?["']?[A-Za-z0-9+/=]{40}/, "credentials of a Kubernetes cluster"],
  ["LS0tLS1CRUdJTi", /LS0tLS1CRUdJTi(?:BQUklWQVRFI|BSU0EgUFJJVkFURS|BFQyBQUklWQVRFI|BPUEVOU1NIIFBSSVZBVEUg)/, "a private key"],
];
const SSH_PUTTY = /^PuTTY-User-Key-File-\d/;
const SERVICE_ACCOUNT = /"type"\s*:\s*"service_account"/;

/**
 * Says what a file looks like when it looks like a private key or credentials ("a private key"), by its name or by the first
 * `looksLikeKeyBytes` of its content. Public certificates and keys are none. `names` are those it goes by (in the app, and that of a
 * link's target), in any case.
 */
export function looksLikeKey(names: readonly string[], content: Buffer): string | undefined {
  const head = content.subarray(0, looksLikeKeyBytes);
  const inside = looksLikeKeyInside(head);
  if (inside !== undefined) return inside;
  const bases = new Set(names.map((name) => name.slice(name.lastIndexOf("/") + 1).toLowerCase()));
  const plain = [...bases].filter((name) => WORTH_A_LOOK.test(name)).map(withoutCopyMarks);
  if (plain.length === 0) return undefined;
  const named = isEmpty(head) ? undefined : NAMED.find(([pattern]) => plain.some((name) => pattern.test(name)));
  if (named) return named[1];
  if (plain.some((name) => MAYBE_KEY.test(name)) && !isSomethingElse(head)) return "a private key, by its name";
  return secretSetting(plain, head);
}

function looksLikeKeyInside(head: Buffer): string | undefined {
  const other = OTHER_KEYS.find(([word, pattern]) => head.includes(word) && pattern.test(head.toString("latin1")));
  if (other) return other[2];
  const isSwapped = head.length >= 2 && head[0] === 0xfe && head[1] === 0xff;
  if (isSwapped) return looksLikeKeyInside(Buffer.from(head.subarray(0, head.length & ~1)).swap16());
  const isUtf16 = head.length >= 2 && head[0] === 0xff && head[1] === 0xfe;
  // One look for a rare word first: it is all that most files cost.
  if (!isUtf16 && !head.includes("PRIVATE KEY") && !head.subarray(0, 32).includes("PuTTY-User-Key")) return undefined;
  const text = head.toString(isUtf16 ? "utf16le" : "latin1").replace(/^\uFEFF/, "");
  if (SSH_PUTTY.test(text)) return "an SSH key";
  if (!PRIVATE_KEY.test(text)) return undefined;
  return SERVICE_ACCOUNT.test(text) ? "a Google service account" : "a private key";
}

function isEmpty(head: Buffer): boolean {
  return head.length < 100 && /^\s*(?:\{\s*\}|\[\s*\])?\s*$/.test(head.toString("latin1"));
}

/** A certificate, a public key, a Keynote document (`.key`, a ZIP), or nothing. */
function isSomethingElse(head: Buffer): boolean {
  const text = head.toString("latin1");
  return isEmpty(head) || text.startsWith("PK\u0003\u0004") || (/-----BEGIN /.test(text) && !text.includes("PRIVATE KEY"));
}

/** No setting that holds a secret has a longer line. */
const LONGEST_LINE = 4096;

function secretSetting(names: readonly string[], head: Buffer): string | undefined {
  const rules = SETTINGS.filter(([pattern]) => names.some((name) => pattern.test(name)));
  const hasUrls = names.some((name) => URL_SETTINGS.test(name));
  if (rules.length === 0 && !hasUrls) return undefined;
  const text = head.toString("latin1");
  const lines = text.split(/[\r\n]+/).map((line) => line.slice(0, LONGEST_LINE).trim().replace(/\s+/g, " "));
  const found = rules.find(([, secret]) => lines.some((line) => secret.test(line)));
  if (found) return found[2];
  return hasUrls && URL_WITH_PASSWORD.test(text) ? "an address with a password" : undefined;
}
