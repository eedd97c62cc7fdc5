import { createServer } from "node:net";
import { expect, it } from "vitest";
import { openServerSession } from "../../../src/cloud/database/session.ts";
import { environments } from "../../../src/cloud/environment.ts";
import { withoutFirewall } from "../../support/cloud.ts";
import { leapingClock } from "../../support/leaping-clock.ts";

/** A port of this machine where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

it("a server that takes no connection ends the call at once: no work was broken off", async () => {
  const notes: string[] = [];
  const clock = leapingClock();
  const context = {
    environment: environments.public,
    credential: { getToken: () => Promise.reject(new Error("asked before TLS")) },
    signal: new AbortController().signal,
    clock,
    onNote: (note: string) => notes.push(note),
  };
  const server = { name: "shop-db", host: "127.0.0.1", port: await closedPort() };
  const work = openServerSession(context, withoutFirewall, server, "dana@example.com").in("postgres", async () => "done");
  await expect(work).rejects.toMatchObject({ code: "database/unreachable", cause: { code: "ECONNREFUSED" } });
  expect(notes).toEqual([]);
  expect(clock.slept).toEqual([]);
});
