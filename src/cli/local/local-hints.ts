import type { HintName } from "../../cloud/hints.ts";

const look = "`passwordless-pg local logs` tells what happened";
const again = "end it with `passwordless-pg local stop`, then run the same command again";
const anew = "run the same command again: it signs in to local Azure by itself";
const damaged = `${look}; \`passwordless-pg local reset\` begins anew`;

/** What to do when it is local Azure that fails: there is no portal, no status page, and nothing on the way to it. One for each, so that none is forgotten. */
export const localHints: Readonly<Record<HintName, string>> = {
  unreachable: `local Azure does not answer: \`passwordless-pg local start\` starts it where it has ended; ${look}`,
  authorityUnreachable: `local Azure does not answer as it should: ${again}; ${look}`,
  slow: `local Azure does not answer in time: ${again}; ${look}`,
  failed: `run the same command again to go on; ${look}`,
  noRoom:
    "make room on the disk that the home of local Azure is on (`passwordless-pg local status` names it), then run the same command again",
  foreignAddress: `${again}; ${look}`,
  foreignAnswer: `run the same command again; if it stays so, ${again}; ${look}`,
  foreignHost: damaged,
  signIn: anew,
  signInAnywhere: `${anew}; where it goes on, ${again}`,
  signInAgain: anew,
  signInAnew: anew,
  signInToTenant: anew,
  signInToSite: anew,
  subscription: "local Azure has one subscription: leave `--subscription` out",
  subscriptionDisabled: damaged,
  subscriptionState: damaged,
  regionClosed: "choose another location",
  regionOrSku: 'choose another "location", "server.sku" or "server.version" in the project file',
  quota: "choose another SKU or location",
  quotas: "choose another SKU or location",
  serverState: `run the command again when it is Ready; ${look}`,
  deploymentState: `wait for its end, or ${again}`,
  nameResolution: damaged,
  databasePort: `the server of local Azure does not listen: ${again}; ${look}`,
  databaseTrust: "something else may listen at the server's address: see what does (`ss -ltnp`), end it, and run the same command again",
  databaseTls: "something else may listen at the server's address: see what does (`ss -ltnp`), end it, and run the same command again",
  databaseUnknown: damaged,
  noResolver: damaged,
  databaseStopped: `nothing listens there: is the server stopped? Otherwise ${again}; ${look}`,
  databaseSilent: `the server of local Azure does not answer: ${again}; ${look}`,
  stillRefused: damaged,
};
