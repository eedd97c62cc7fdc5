import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

/** What can emit `error` later, from wherever it is: without a listener that ends the process. */
const MAKES =
  /\b(createReadStream|createWriteStream|spawn|connectTcp|connectTls|createConnection)\(|\bnet\.(connect|createServer)\(|(?<!\.)\bconnect\(\{|\bcreateServer\(|\bReadable\.from\(|\bnew (Readable|Transform|PassThrough|TLSSocket|[\w.]*ZipFile)\(|\.pipe\(/;

/** What hears it: a listener, or something that takes the stream over and rejects. */
const HEARS = /"error"|\bpipeline\(|for await|Readable\.toWeb\(|fromWeb\(/;

/** Lines around in which it is heard. */
const AFTER = 14;
const BEFORE = 8;

/** Heard elsewhere, each looked at by a person. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "emulator/machines/postgres/account.ts": "the caller of `start` listens",
  "emulator/machines/app/front.ts": "servers that only take connections by `emit`; the listener's errors are those of `listen`",
  "emulator/http/listener.ts": "errors of a server that listens are those of `listen`",
};

test("every stream, socket and process that is made has somebody who hears its errors", () => {
  const source = resolve(import.meta.dirname, "../../src");
  const unheard = (readdirSync(source, { recursive: true }) as string[])
    .filter((name) => name.endsWith(".ts") && !(name in ELSEWHERE))
    .flatMap((name) => {
      const text = readFileSync(join(source, name), "utf8");
      const lines = text.split("\n");
      return lines.flatMap((line, index) => {
        if (!MAKES.test(line) || /^\s*(\*|\/\/|import|export (async )?function|async function|function)/.test(line)) return [];
        // Servers of other kinds are created, too.
        if (line.includes("createServer(") && !/from "node:(net|https?|tls)"/.test(text)) return [];
        const around = lines.slice(Math.max(0, index - BEFORE), index + AFTER).join("\n");
        return HEARS.test(around) ? [] : [`${name}:${index + 1} ${line.trim()}`];
      });
    });
  expect(unheard).toEqual([]);
});
