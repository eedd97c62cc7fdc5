import { createServer } from "node:net";
import { expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Connectivity, probeConnectivity } from "../../src/cloud/connectivity.ts";
import { apply } from "../../src/engine/apply.ts";
import { plan } from "../../src/engine/plan.ts";
import { startTestEmulator } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { examine, never, shopFile, toolsFor } from "../support/spoilt.ts";

const test = projectTest(shopFile);

test("the way to the server, rung by rung, as doctor says it", async ({ emulator, project }) => {
  const { server, group } = toolsFor(project, emulator);
  const path = `${emulator.subscription}/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${server}`;
  const { body } = await emulator.arm("GET", `${path}?api-version=2025-08-01`);
  /** The real server as ARM shows it, but for its address. */
  const expectAt = async (fullyQualifiedDomainName: string, name: string, detail: RegExp): Promise<void> => {
    const moved = { ...body, properties: { ...body.properties, fullyQualifiedDomainName } };
    const fault = emulator.faults.add({ method: "GET", path, action: { kind: "status", status: 200, body: moved } });
    try {
      const found = (await examine(project)).filter((check) => !check.ok && check.name.startsWith("server "));
      expect(found).toEqual([expect.objectContaining({ name, detail: expect.stringMatching(detail) })]);
    } finally {
      emulator.faults.remove(fault);
    }
  };
  await expectAt("no-such-server.invalid", "server name resolves", /no-such-server\.invalid/);
  // Another local Azure has another certificate authority; when it is gone, nobody listens there.
  const stranger = await startTestEmulator();
  let host = "";
  try {
    const theirs = await openTestProject(stranger.emulator, shopFile);
    await apply(await plan([theirs.graph.server]), { clock: systemClock, signal: never });
    host = (await theirs.cloud.postgresServers.get(theirs.setup.resourceGroup, theirs.setup.server.name))?.host ?? "";
    await expectAt(host, "server certificate is trusted", /certificate/);
  } finally {
    await stranger.release();
  }
  await expectAt(host, "server port answers", /ECONNREFUSED/);
});

test("the adapter tells the rungs apart: name, port, certificate", async ({ emulator, project }) => {
  const caPem = emulator.caPem;
  const failing = ({ addresses, isPortOpen, tls }: Connectivity): string =>
    addresses.length === 0 ? "name" : !isPortOpen ? "port" : tls === undefined ? "tls" : "none";
  expect(failing(await probeConnectivity({ host: "no-such-server.invalid", port: 5432, caPem }, never))).toBe("name");
  const listener = createServer((socket) => socket.resume().end("N")).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  const { port } = listener.address() as { port: number };
  expect(failing(await probeConnectivity({ host: "127.0.0.1", port, caPem }, never))).toBe("tls");
  await new Promise((resolve) => listener.close(resolve));
  expect(failing(await probeConnectivity({ host: "127.0.0.1", port, caPem }, never))).toBe("port");
  const server = await project.cloud.postgresServers.get(project.setup.resourceGroup, project.setup.server.name);
  if (!server) throw new Error("no server");
  expect(failing(await probeConnectivity({ host: server.host, port: server.port, caPem }, never))).toBe("none");
  expect(failing(await probeConnectivity({ host: server.host, port: server.port }, never))).toBe("tls");
});
