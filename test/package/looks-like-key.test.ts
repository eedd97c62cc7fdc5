import { generateKeyPairSync } from "node:crypto";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { looksLikeKey, looksLikeKeyBytes } from "../../src/package/looks-like-key.ts";
import { pack } from "../../src/package/pack.ts";
import { test, write } from "./temporary-folder.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const pkcs1 = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const spki = publicKey.export({ type: "spki", format: "pem" }).toString();
const encrypted = privateKey.export({ type: "pkcs1", format: "pem", cipher: "aes-128-cbc", passphrase: "x" }).toString();
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "sec1", format: "pem" }).toString();
const body = pkcs8.split("\n")[1] ?? "";
const certificate = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
const looks = (name: string, content: string | Buffer = "x") => looksLikeKey([name], Buffer.from(content));

test.for([
  ["id_rsa", "an SSH key"],
  ["ID_RSA", "an SSH key"],
  ["deploy/id_ed25519", "an SSH key"],
  ["id_ecdsa_sk", "an SSH key"],
  ["id_rsa.bak", "an SSH key"],
  ["id_rsa_server", "an SSH key"],
  ["my.ppk", "an SSH key"],
  ["cert.PFX", "a store of private keys"],
  ["store.p12", "a store of private keys"],
  ["app.jks", "a store of private keys"],
  ["app.keystore~", "a store of private keys"],
  ["safe.kdbx", "a password safe"],
  ["certs/server.pem", "a private key, by its name"],
  ["tls/Server.KEY", "a private key, by its name"],
  ["master.key", "a private key, by its name"],
  ["service-account.json", "a Google service account"],
  ["serviceAccountKey.json", "a Google service account"],
  ["service_account_prod.json", "a Google service account"],
  ["shop-firebase-adminsdk-ab1cd-0123456789.json", "a Google service account"],
  ["client_secret_1234.apps.googleusercontent.com.json", "a client secret"],
  ["credentials.json", "credentials"],
  ["config/application_default_credentials.json", "credentials"],
  ["credentials", "credentials"],
  ["secrets.json", "secrets"],
  [".streamlit/secrets.toml", "secrets"],
  ["Secrets.YAML", "secrets"],
  ["ada_accessKeys.csv", "access keys of AWS"],
  ["kubeconfig", "credentials of a Kubernetes cluster"],
  ["prod.kubeconfig", "credentials of a Kubernetes cluster"],
  ["azureProfile.json", "a sign-in of the Azure CLI"],
  [".vault_pass.txt", "a vault's password"],
  ["secrets.prod.yaml", "secrets"],
  ["credentials-prod.json", "secrets"],
  ["creds.json", "secrets"],
  ["kube.config", "credentials of a Kubernetes cluster"],
  ["kubeconfig-prod", "credentials of a Kubernetes cluster"],
  ["azureauth.json", "a sign-in of an Azure SDK"],
  ["private.der", "a private key, by its name"],
] as const)("%s looks like %s, by its name", ([name, what]) => {
  expect(looks(name)).toBe(what);
});

test.for([
  ["PKCS #8", "notes.txt", pkcs8, "a private key"],
  ["PKCS #1", "a.bin", pkcs1, "a private key"],
  ["an encrypted one", "a.txt", encrypted, "a private key"],
  ["an elliptic one", "a", ec, "a private key"],
  ["Windows line ends", "a", pkcs8.replaceAll("\n", "\r\n"), "a private key"],
  ["words before it", "a", `Bag Attributes\n  localKeyID: 01\n${pkcs8}`, "a private key"],
  ["behind certificates", "chain.pem", certificate.repeat(3) + pkcs8, "a private key"],
  ["in one line of JSON", "config.json", JSON.stringify({ key: pkcs8 }), "a private key"],
  ["in YAML", "k8s.yaml", `key: |\n  ${pkcs8.replaceAll("\n", "\n  ")}`, "a private key"],
  [
    "in code",
    "keys.py",
    `KEY = (\n${pkcs8
      .trim()
      .split("\n")
      .map((line) => `    "${line}\\n"`)
      .join("\n")}\n)\n`,
    "a private key",
  ],
  ["in an example file", ".env.example", `PRIVATE_KEY="${pkcs8.replaceAll("\n", "\\n")}"`, "a private key"],
  ["UTF-16", "a.txt", Buffer.from(`\uFEFF${pkcs8}`, "utf16le"), "a private key"],
  ["OpenPGP", "a.asc", `-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n${body}\n`, "a private key"],
  ["OpenSSH", "deploy", `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n`, "a private key"],
  ["PuTTY", "a.txt", "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n", "an SSH key"],
  [
    "a service account",
    "x.json",
    JSON.stringify({ type: "service_account", private_key: pkcs8 }, undefined, 2),
    "a Google service account",
  ],
  ["the end of what is looked at", "a", `${" ".repeat(looksLikeKeyBytes - 200)}${pkcs8}`, "a private key"],
  ["npm token", ".npmrc", "registry=https://r.example/\n//r.example/:_authToken=npm_x1\n", "an npm token"],
  ["npm password", "web/.npmrc", "//r.example/:_password = aGVsbG8=\n", "an npm token"],
  ["npm auth alone", ".npmrc", '_auth="aGVsbG86"\n', "an npm token"],
  ["Yarn", ".yarnrc.yml", 'npmRegistries:\n  "//r":\n    npmAuthToken: abc\n', "an npm token"],
  ["pip", "pip.conf", "[global]\nindex-url = https://ada:pw1@r.example/simple\n", "an address with a password"],
  ["requirements", "requirements-prod.txt", "--extra-index-url https://ada:pw1@r.example/simple\n", "an address with a password"],
  ["a service file of PostgreSQL", ".pg_service.conf", "[shop]\nhost=h\npassword=pw1\n", "a database password"],
] as const)("content: %s", ([, name, content, what]) => {
  expect(looks(name, content)).toBe(what);
});

test.for([
  ["a certificate", "server.pem", certificate],
  ["a public key", "jwt.key", spki],
  ["an SSH public key", "id_rsa.pub", "ssh-rsa AAAA"],
  ["a Keynote document", "talk.key", "PK\u0003\u0004rest"],
  ["an empty file", "credentials.json", "{}\n"],
  ["nothing", "secrets.json", ""],
  ["a word in a text", "README.md", "put `-----BEGIN PRIVATE KEY-----` above it"],
  ["an invented key", ".env.example", 'KEY="-----BEGIN PRIVATE KEY-----\\nYour-Private-Key\\n-----END PRIVATE KEY-----\\n"'],
  ["dots for a key", "doc.md", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"],
  ["code about keys", "pem.js", "const header = '-----BEGIN PRIVATE KEY-----';\nexport { header };"],
  [".npmrc of a build", ".npmrc", `registry=https://r.example/\n//r.example/:_authToken=\${NPM_TOKEN}\nalways-auth=true\n`],
  [".npmrc with a quoted variable", ".npmrc", `//r.example/:_authToken="\${NPM_TOKEN}"\n; _authToken=old\n`],
  ["Yarn with a variable", ".yarnrc.yml", `npmAuthToken: "\${NPM_TOKEN}"\n`],
  ["pip with a variable", "requirements.txt", `--index-url https://__token__:\${TOKEN}@r.example/simple\nflask\n`],
  ["a service file without a password", "pg_service.conf", "[shop]\nhost=h\n# password=no\n"],
  ["modules", "credentials.py", "x"],
  ["modules of secrets", "src/secrets.ts", "x"],
  ["settings", "package.json", '{"scripts": {"db": "psql postgres://a:b@localhost/x"}}'],
] as const)("no key: %s", ([, name, content]) => {
  expect(looks(name, content)).toBeUndefined();
});

test("hostile contents take no time that grows faster than they do", () => {
  const starts = [
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n",
    "-----BEGIN PRIVATE KEY-----\nComment:",
    "\\\\n",
    " \\n\\r",
    "Comment:",
  ];
  const cpu = process.cpuUsage();
  for (const first of starts) for (const again of starts) looks("a", first + again.repeat(looksLikeKeyBytes / again.length));
  for (const name of [".npmrc", ".yarnrc.yml", "pip.conf"]) {
    for (const again of ["_auth", "://a:", "a_auth = ", " \n", "npmAuthToken "])
      looks(name, again.repeat(looksLikeKeyBytes / again.length));
  }
  // An exponential or cubic expression would take hours; the work of this process counts, not the clock.
  expect(process.cpuUsage(cpu).user / 1e6).toBeLessThan(20);
});

test("a package names them by path, through links and whatever the order of the disk, and hashes the same", async ({ folder }) => {
  write(folder, {
    "a.py": "",
    "certs/server.pem": pkcs8,
    "certs/ca.pem": certificate,
    "deploy/id_rsa": "x",
    "keys.py": "",
    "large.key": pkcs8,
  });
  write(folder, { "large.txt": pkcs8 + "x".repeat(3_000_000) });
  symlinkSync("deploy/id_rsa", join(folder, "link"));
  const packed = await pack(folder);
  expect(packed.suspicious).toEqual([
    { path: "certs/server.pem", looks: "a private key" },
    { path: "deploy/id_rsa", looks: "an SSH key" },
    { path: "large.key", looks: "a private key" },
    { path: "large.txt", looks: "a private key" },
    { path: "link", looks: "an SSH key" },
  ]);
  expect((await pack(folder)).sha256).toBe(packed.sha256);
});

test.for<[string, string, string | Buffer, string]>([
  ["SSH's second form", "ssh2.txt", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: x", "an SSH key"],
  ["an age key", "keys.txt", `# created\nAGE-SECRET-KEY-1${"Q".repeat(58)}\n`, "a private key"],
  [
    "a Kubernetes configuration",
    "k3s.yaml",
    `users:\n- user:\n    client-key-data: ${"LS0t".repeat(20)}\n`,
    "credentials of a Kubernetes cluster",
  ],
  ["base64 of a key", "values.yaml", `key: ${Buffer.from(pkcs8).toString("base64")}`, "a private key"],
  ["UTF-16, the other way round", "a.txt", Buffer.from(`\ufeff${pkcs8}`, "utf16le").swap16(), "a private key"],
  ["a key behind certificates", "chain.pem", `${certificate.repeat(900)}${pkcs8}`, "a private key"],
  ["a feed's password", "NuGet.Config", '<add key="ClearTextPassword" value="hunter22" />', "a password of a package feed"],
  ["Composer's sign-in", "auth.json", '{"http-basic": {"x": {"username": "a", "password": "b"}}}', "a sign-in"],
])("%s: %s is %s", ([, name, content, what]) => {
  expect(looks(name, content)).toBe(what);
});

test("a file of nothing but blanks takes no time", () => {
  const startedAt = process.cpuUsage().user;
  for (const name of [".npmrc", ".yarnrc.yml", "pg_service.conf", "auth.toml", "nuget.config"])
    for (const sign of [" ", "\n", "\t ", "a=", "_"]) looks(name, sign.repeat(looksLikeKeyBytes / sign.length));
  expect(process.cpuUsage().user - startedAt).toBeLessThan(3_000_000);
});
