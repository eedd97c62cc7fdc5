/** Why a file or folder never goes into a package: somebody's credentials, or of no use there. */
export type LeftOut = "credentials" | "needless";

/** Of no use on Azure: histories, what the machine keeps, and this tool's own files, whose edits are no new version of the app. */
const NEEDLESS = new Set([".git", ".hg", ".svn", ".ds_store", "passwordless-pg.json", "passwordless-pg.schema.json"]);

/** Dependencies and caches that the build on Azure makes itself. */
const NEEDLESS_FOLDERS = new Set(["node_modules", "__pycache__", ".venv", "venv", "antenv", ".pytest_cache", ".mypy_cache", ".ruff_cache"]);

/** Where tools keep what they sign in with: the same names as in a home folder, which is now and then an app's folder too. */
const CREDENTIALS = new Set([
  ".aws",
  ".azure",
  ".boto",
  ".databrickscfg",
  ".chef",
  ".dockercfg",
  ".dockerconfigjson",
  ".git-credentials",
  ".gnupg",
  ".gsutil",
  ".htdigest",
  ".htpasswd",
  ".kube",
  ".my.cnf",
  ".mylogin.cnf",
  ".netrc",
  ".oci",
  ".password-store",
  ".pgpass",
  ".pulumi",
  ".pypirc",
  ".s3cfg",
  ".ssh",
  ".terraform",
  ".terraform.d",
  ".terraformrc",
  ".vault-token",
  "_netrc",
  "pgpass.conf",
  "rclone.conf",
  "tfplan",
]);

/** What holds sign-ins only below a folder of that name: apps have other things in `.config` and `.docker`. */
const CREDENTIALS_BELOW: ReadonlyMap<string | undefined, ReadonlySet<string>> = new Map([
  [".config", new Set(["azure", "containers", "doctl", "gcloud", "gh", "hub", "rclone"])],
  [".docker", new Set(["config.json", "contexts"])],
  [".cargo", new Set(["credentials", "credentials.toml"])],
]);

/**
 * Terraform's state and variables, publish profiles of App Service, what was typed into shells, passwords of PostgreSQL's clients, and the
 * settings that Azure Functions writes connection strings into and its tools never publish.
 */
const CREDENTIAL_FILES =
  /^local[._]settings(?:[._-](?!(?:example|sample|template|dist)\b)[^.]+)?\.json$|^\.pgpass(?:[._-].+)?$|^(?:_|\.)?dotenv$|^_env$|\.tfstate(?:\..+)?$|\.tfvars(?:\.json)?$|\.publishsettings$|^\.[a-z_]+_history$/;

/** `.env` in any spelling, as file or folder: `.env.local`, `.env-prod`, `.envrc`, `.flaskenv`, `prod.env`, `app.env.staging`, `env.local`. */
const ENVIRONMENT =
  /^\.env|^\.flaskenv$|.\.env$|(?:^|.\.)env(?:[._-](?:local|dev(?:elopment)?|prod(?:uction)?|stag(?:e|ing)|tests?|testing|ci|qa|uat|live|docker|private|secrets?))+$/;

/** Lists of the variables' names with no or invented values; dotenv-safe reads one at run time. */
const EXAMPLE = /^(?:.*\.)?env(?:[._-][a-z0-9]+)*[._-](?:example|sample|template|dist)$|^\.?(?:example|sample|template|dist)\.env$/;

/** Every name of credentials begins or holds one of these, copies too: for thousands of other files it is the only question. */
const WORTH_A_LOOK = /^\s*(?:copy of )?[._#]|env|tfstate|tfvars|publishsettings|pgpass|local[._]settings|tfplan|rclone/;

/**
 * Says whether a path is never packed, whatever the ignore files say. `path` is inside the app, with forward slashes; only its last two
 * segments count, so that whoever walks a tree asks for each folder on the way. Credentials in any case and with the endings that editors
 * and careful people add (`.ENV`, `.env~`, `terraform.tfstate.bak`). Folders with a `pyvenv.cfg` are left out too, by whoever reads the folder.
 */
export function whyLeftOut(path: string, isFolder: boolean): LeftOut | undefined {
  const [name = "", parent] = path.split("/").reverse();
  const lower = name.toLowerCase();
  if (NEEDLESS.has(lower)) return "needless";
  if (isFolder ? NEEDLESS_FOLDERS.has(name) : lower.endsWith(".pyc")) return "needless";
  const below = CREDENTIALS_BELOW.get(parent?.toLowerCase());
  if (below === undefined && !WORTH_A_LOOK.test(lower)) return undefined;
  const plain = withoutCopyMarks(lower);
  if (CREDENTIALS.has(plain) || below?.has(plain)) return "credentials";
  if (EXAMPLE.test(plain)) return undefined;
  if (isFolder) return plain.startsWith(".env") ? "credentials" : undefined;
  return CREDENTIAL_FILES.test(plain) || ENVIRONMENT.test(plain) ? "credentials" : undefined;
}

/** A name without what editors, shells and file managers add to a copy: `.env~`, `.env.bak`, `.env.swp`, `#.env#`, `.env (1)`, `.env copy`. */
export function withoutCopyMarks(name: string): string {
  let plain = name;
  for (;;) {
    const shorter = plain
      .trim()
      .replace(/^copy of |^\.?#|#$|~\d*$/g, "")
      .replace(/(?:[.\s_-]+(?:bak|backup|old|orig|original|save|saved|sw[a-p]|tmp|copy)\d*|[\s.]*\(\d+\)|[.\s_-]+\d+)$/, "")
      .replace(/^\.(?=\.)/, "");
    if (shorter === plain || shorter === "") return plain;
    plain = shorter;
  }
}
