import { parts } from "./parts.ts";
import { giveBack } from "./tools.ts";

/**
 * `npm run bench`: each figure beside its floor or peer, measured in turns in one run; medians and the ratio of the medians.
 * `npm run bench -- gateway` runs one part or some; `-- --short` one short round, as `npm test` does.
 * The machine is shared and noisy: read the ratios, not the milliseconds. A part that fails does not keep the others from running.
 */
const size = process.argv.includes("--short") ? "short" : "full";
const asked = process.argv.slice(2).filter((word) => word !== "--short");
const unknown = asked.filter((name) => !Object.hasOwn(parts, name));
try {
  if (unknown.length > 0) throw new Error(`no part is called ${unknown.join(", ")}; there are ${Object.keys(parts).join(", ")}`);
  for (const [name, measure] of Object.entries(parts)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    await measure(size).catch((error: unknown) => {
      process.exitCode = 1;
      console.error(`${name} FAILED:`, error);
    });
  }
} catch (error) {
  process.exitCode = 2;
  console.error(error instanceof Error ? error.message : error);
} finally {
  await giveBack();
}
