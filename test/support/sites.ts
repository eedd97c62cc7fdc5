import yazl from "yazl";
import type { Answer, TestEmulator } from "./emulator.ts";

const API = "api-version=2024-04-01";

/** A zip in memory. */
export async function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new yazl.ZipFile();
  for (const [name, text] of Object.entries(files)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  const parts: Buffer[] = [];
  for await (const part of zip.outputStream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** What `makeSite` uses of a local Azure. */
export type SiteTools = Pick<TestEmulator, "clientId" | "arm" | "fetch" | "until" | "tokenFor" | "group">;

/** A site with its plan, and the ways tests use it. */
export interface TestSite {
  readonly id: string;
  readonly planId: string;
  readonly origin: string;
  readonly scm: string;
  arm(method: string, path?: string, body?: unknown): Promise<Answer>;
  /** SCM with a right token. */
  kudu(method: string, path: string, body?: Buffer): Promise<Answer>;
  /** Deploys and waits for the end of the runtime's start. */
  deploy(files: Readonly<Record<string, string>>): Promise<{ readonly id: string; readonly status: string }>;
  waitFor(deploymentId: string): Promise<Answer>;
}

export async function makeSite(
  emulator: SiteTools,
  name: string,
  options: {
    runtime?: string;
    startup?: string;
    settings?: Record<string, string>;
    identity?: boolean;
    capacity?: number;
    group?: string;
  } = {},
): Promise<TestSite> {
  const group = await emulator.group(options.group);
  const planId = `${group}/providers/Microsoft.Web/serverfarms/plan-${name}`;
  const id = `${group}/providers/Microsoft.Web/sites/${name}`;
  const sku = { name: "S1", tier: "STANDARD", capacity: options.capacity ?? 1 };
  const plan = await emulator.arm("PUT", `${planId}?${API}`, { location: "eastus", kind: "linux", sku, properties: { reserved: true } });
  if (plan.status !== 200) throw new Error(plan.text);
  const site = await emulator.arm("PUT", `${id}?${API}`, {
    location: "eastus",
    kind: "app,linux",
    ...(options.identity ? { identity: { type: "SystemAssigned" } } : {}),
    properties: {
      serverFarmId: planId,
      siteConfig: {
        linuxFxVersion: options.runtime ?? "PYTHON|3.12",
        appCommandLine: options.startup ?? "",
        appSettings: Object.entries(options.settings ?? {}).map(([key, value]) => ({ name: key, value })),
      },
    },
  });
  if (site.status !== 200) throw new Error(site.text);
  const states = site.body.properties.hostNameSslStates as { name: string; hostType: string }[];
  const scm = `https://${states.find(({ hostType }) => hostType === "Repository")?.name}`;
  const origin = `https://${site.body.properties.defaultHostName}`;
  const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
  const arm: TestSite["arm"] = (method, path = "", body) => emulator.arm(method, `${id}${path}?${API}`, body);
  const kudu: TestSite["kudu"] = (method, path, body) =>
    emulator.fetch(`${scm}${path}`, { method, headers: { authorization: `Bearer ${token}` }, ...(body ? { body } : {}) });
  const waitFor: TestSite["waitFor"] = (deploymentId) =>
    emulator.until(`${id}/deploymentStatus/${deploymentId}?${API}`, ({ status }) => status === 200);
  return {
    id,
    planId,
    origin,
    scm,
    arm,
    kudu,
    waitFor,
    deploy: async (files) => {
      const answer = await kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf(files));
      if (answer.status !== 202) throw new Error(`${answer.status} ${answer.text}`);
      const deploymentId = answer.headers.get("scm-deployment-id") ?? "";
      const done = await waitFor(deploymentId);
      return { id: deploymentId, status: done.body.properties.status as string };
    },
  };
}

/** Repeats until it is so. */
export async function eventually<T>(read: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await read();
    if (isDone(value)) return value;
    if (Date.now() > deadline) throw new Error(`not so: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An app of http.server alone: needs no pip. Answers with its environment. */
export const pythonApp = `
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        body = json.dumps({"path": self.path, "env": dict(os.environ), "headers": dict(self.headers), "version": sys.version, "cwd": os.getcwd()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("served", self.path, flush=True)
print("hello from the app", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
`;

import { PATIENCE_MS } from "./patience.ts";
