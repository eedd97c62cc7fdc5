import { writeFileSync } from "node:fs";
import { coveragePage, listedOperations, observedClients, pageFile, scmOperations } from "../../support/coverage-page.ts";

/** After the clients ran: with `UPDATE=1` the coverage page is written anew. */
export function setup(): () => void {
  return () => {
    if (process.env.UPDATE !== "1") return;
    const operations = [...listedOperations(), ...scmOperations()];
    writeFileSync(pageFile, coveragePage(operations, observedClients(operations)));
  };
}
