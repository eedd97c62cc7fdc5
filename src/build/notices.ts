import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { copiedCode } from "./copied-code.ts";

/** A package whose code is in a bundle, with the words that its licence wants in every copy. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression of its manifest. */
  readonly license: string;
  /** The licence and notices as the package ships them. */
  readonly texts: readonly string[];
}

/**
 * The packages that bundled files come from, by name; two versions are two packages. A tool that lists what is installed would list
 * what only tests use, and not say which copy of two went in: the bundler knows. `inputs` are paths of a metafile.
 * Throws when a package has no name, version, licence or licence text.
 */
export function packagesOf(inputs: readonly string[]): readonly BundledPackage[] {
  const folders = new Set(inputs.filter((input) => input.includes("node_modules/")).map(packageFolder));
  const packages = new Map([...folders].map(readPackage).map((one) => [`${one.name} ${one.version}`, one]));
  return [...packages.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one);
}

/** Not each package.json is a package's: some only say which kind of modules lies beside them. */
function packageFolder(input: string): string {
  for (let folder = dirname(input); folder.includes("node_modules/"); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && manifestOf(file).name !== undefined && manifestOf(file).version !== undefined) return folder;
  }
  throw new Error(`${input}: no package with a name and a version holds this file`);
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: unknown;
}

function manifestOf(file: string): Manifest {
  return JSON.parse(readFileSync(file, "utf8")) as Manifest;
}

const TEXT_FILE = /^(?:licen[cs]e|copying|notice|third[-_ ]?party[-_ ]?notices?)(?:[-_.].*)?$/i;
/** What every licence says that asks to be passed on. */
const LICENSE_WORDS = /permission (?:is hereby granted|to use)|redistribution and use|apache license|permission notice/i;

function readPackage(folder: string): BundledPackage {
  const { name = "", version = "", license } = manifestOf(join(folder, "package.json"));
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && TEXT_FILE.test(entry.name));
  const texts = files.map((entry) => plain(readFileSync(join(folder, entry.name), "utf8"))).sort();
  if (!texts.some((text) => LICENSE_WORDS.test(text))) texts.unshift(...licenseOfReadme(folder));
  if (typeof license !== "string" || !texts.some((text) => LICENSE_WORDS.test(text))) {
    throw new Error(`${name} ${version} ships no licence: it may not be bundled before its text is found`);
  }
  return { name, version, license, texts };
}

/** Older packages have their licence at the end of the README. */
function licenseOfReadme(folder: string): readonly string[] {
  const file = readdirSync(folder).find((name) => /^readme(?:\.|$)/i.test(name));
  const section = file && /^#+ *licen[cs]e\b.*\n([\s\S]*?)(?=^#|$(?![\s\S]))/im.exec(plain(readFileSync(join(folder, file), "utf8")))?.[1];
  return section && LICENSE_WORDS.test(section) ? [section.trim()] : [];
}

function plain(text: string): string {
  return text
    .replace(/^\uFEFF/, "")
    .replaceAll("\r\n", "\n")
    .trim();
}

/** The text of `THIRD_PARTY_NOTICES`. The same packages always give the same text. */
export function noticesOf(packages: readonly BundledPackage[]): string {
  const line = "=".repeat(100);
  const sections = packages.flatMap((one) => [
    [line, `${one.name} ${one.version} (${one.license})`, line, ...one.texts].join("\n\n"),
    ...copiedCode
      .filter(({ inside }) => inside === one.name)
      .map(({ what, license, text }) => [line, `${what}, in ${one.name} (${license})`, line, text.trim()].join("\n\n")),
  ]);
  const begin = `passwordless-pg ships its program as bundles. They hold code of these ${packages.length} packages, under these licences.`;
  return `${[begin, ...sections].join("\n\n")}\n`;
}
