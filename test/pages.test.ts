import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { createProgram } from "../src/cli/program.ts";

// The pages for people: a dead link is found here, and one that is alive in the repository and dead in the package.

const root = resolve(import.meta.dirname, "..");
const inFolder = (folder: string): string[] => readdirSync(join(root, folder)).map((file) => `${folder}/${file}`);
const shipped = ["README.md", "CHANGELOG.md", ...inFolder("docs")];
const pages = [
  ...shipped,
  "CONTRIBUTING.md",
  ...inFolder("src/emulator/docs"),
  ...inFolder("templates").map((folder) => `${folder}/README.md`),
];

interface Link {
  readonly page: string;
  readonly target: string;
  readonly anchor: string;
}

const links = pages.flatMap(linksOf);

/** The relative links of a page; code is none. */
function linksOf(page: string): readonly Link[] {
  const text = readFileSync(join(root, page), "utf8").replace(/^```[\s\S]*?^```/gm, "");
  return [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, path = "", anchor = ""]) => ({
    page,
    target: path === "" ? page : relative(root, resolve(root, dirname(page), path)),
    anchor,
  }));
}

/** The anchors that GitHub and npm give to headings. */
function anchorsOf(page: string): readonly string[] {
  const headings = readFileSync(join(root, page), "utf8").matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test.for(links)("$page: the link to $target#$anchor leads somewhere", ({ target, anchor }) => {
  expect(existsSync(join(root, target))).toBe(true);
  if (anchor) expect(anchorsOf(target)).toContain(anchor);
});

test("a page of the package links only to what is in the package", () => {
  const packed = ["README.md", "LICENSE", "package.json", ...manifest.files];
  const isPacked = (path: string): boolean => packed.some((one) => path === one || path.startsWith(`${one}/`));
  expect(shipped.filter((page) => !isPacked(page))).toEqual([]);
  expect(links.filter(({ page, target }) => shipped.includes(page) && !isPacked(target))).toEqual([]);
});

test("README tells every command, and CONTRIBUTING every project of vitest", () => {
  const commands = createProgram(
    () => {
      throw new Error("not run");
    },
    () => undefined,
  ).commands.map((command) => command.name());
  expect(commands.length).toBeGreaterThan(10);
  const readme = readFileSync(join(root, "README.md"), "utf8");
  expect(commands.filter((name) => !new RegExp(`^\\|.*\`${name}\\b`, "m").test(readme))).toEqual([]);
  const projects = [...readFileSync(join(root, "vitest.config.ts"), "utf8").matchAll(/name: "(\w+)"/g)].map(([, name]) => name);
  const told = [...readFileSync(join(root, "CONTRIBUTING.md"), "utf8").matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  expect(told).toEqual(projects);
});

test("README leads to every page of docs", () => {
  const told = linksOf("README.md").map(({ target }) => target);
  expect(told).toEqual(expect.arrayContaining(inFolder("docs")));
});

test("CONTRIBUTING names files that are there; NAME, KIND and the like stand for one", () => {
  const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
  const named = [...text.matchAll(/(?:src|test)\/[\w./-]+\.\w+/g)].map(([path]) => path).filter((path) => !/[A-Z]{3}/.test(path));
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
