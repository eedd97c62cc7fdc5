const NAMES = new Set([
  ".git",
  ".hg",
  ".svn",
  ".DS_Store",
  ".azure",
  ".env",
  // Edits of the project file must not look like a new version of the app.
  "passwordless-pg.json",
]);

const FOLDER_NAMES = new Set(["node_modules", "__pycache__", ".venv", "venv", "antenv", ".pytest_cache", ".mypy_cache", ".ruff_cache"]);

/**
 * What never belongs into a package, whatever the ignore files say: secrets, histories, caches and dependencies that the build on
 * Azure installs itself. `name` is one path segment. Folders with a `pyvenv.cfg` are left out too, by whoever reads the folder.
 */
export function isAlwaysLeftOut(name: string, isFolder: boolean): boolean {
  if (NAMES.has(name)) return true;
  if (name.startsWith(".env.")) return name !== ".env.example";
  return isFolder ? FOLDER_NAMES.has(name) : name.endsWith(".pyc");
}

const KEY_FILE = /(?:\.(?:pem|pfx|p12|key|jks|keystore|ppk)|^id_(?:rsa|dsa|ecdsa|ed25519)|^\.pgpass|^\.netrc|^\.npmrc|^\.pypirc)$/i;

/** Looks like a private key or a file of credentials: to be mentioned, not refused (a `.pem` may be a public certificate). */
export function looksSecret(path: string): boolean {
  return KEY_FILE.test(path.slice(path.lastIndexOf("/") + 1));
}
