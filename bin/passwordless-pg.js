#!/usr/bin/env node
import { refusalOf } from "./node-version.js";

const refusal = refusalOf(process.versions.node);
// Until something better is known.
process.exitCode = 1;
if (refusal === undefined) {
  import("../dist/main.js").then(
    async ({ main }) => {
      process.exitCode = await main(process.argv);
    },
    (error) => process.stderr.write(`passwordless-pg is not installed as it should be: ${error.message}\n`),
  );
} else {
  process.exitCode = 2;
  process.stderr.write(`${refusal}\n`);
  if (process.argv.includes("--json")) {
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code: "usage/invalid", message: refusal } }, undefined, 2)}\n`);
  }
}
