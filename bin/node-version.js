/* Read by versions of Node that are too old for the rest: no syntax younger than Node 14 here and in passwordless-pg.js. */

/** The lowest version that the rest runs on; package.json says the same. */
const NEEDED = [20, 15];

/** What to say to a Node that is too old, `20.15.0` as in `process.versions.node`; undefined when it will do. */
export function refusalOf(version) {
  const parts = String(version).split(".").map(Number);
  const major = parts[0] || 0;
  const minor = parts[1] || 0;
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined;
  return `passwordless-pg needs Node ${NEEDED.join(".")} or newer, and this is ${version}: install a newer one (https://nodejs.org)`;
}
