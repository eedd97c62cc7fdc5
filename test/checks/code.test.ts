import { until } from "../support/patience.ts";
import { openTestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { zipOf } from "../support/sites.ts";
import { examine, expectWrong, shopApi, shopFile } from "../support/spoilt.ts";

const withStartup = (more: object) => ({ ...shopFile, apps: { api: { ...shopFile.apps.api, startup: "python main.py", ...more } } });

const test = projectTest(withStartup({}));

test("the code: broken, signed in as somebody else, its health path gone; then well", async ({ emulator, project }) => {
  const { cloud, setup } = project;
  const site = await cloud.sites.at({ group: setup.resourceGroup, app: shopApi }).get();
  const zip = await zipOf({
    "main.py": `
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_database = self.path == "/healthz/database"
        self.send_response(500 if os.environ.get("BROKEN") and not is_database else 200 if self.path == "/" or is_database else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"tls": True, "user": os.environ.get("PRETEND", os.environ["DB_USER"])}).encode())
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
`,
  });
  const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
  const answer = await emulator.fetch(`https://${site?.scmHost}/api/zipdeploy?isAsync=true`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: zip,
  });
  const status = `${site?.id}/deploymentStatus/${answer.headers.get("scm-deployment-id")}?api-version=2024-04-01`;
  await emulator.until(status, (found) => found.status === 200);
  expectWrong(await examine(project), []);
  const settings = (await cloud.sites.at({ group: setup.resourceGroup, app: shopApi }).getSettings()) ?? {};
  await cloud.sites.at({ group: setup.resourceGroup, app: shopApi }).putSettings({ ...settings, BROKEN: "yes", PRETEND: "somebody" });
  await until("doctor finds it", async () => {
    expectWrong(await examine(project), ["api: app answers", "api: app signs in with its token"]);
    return true;
  });
  await cloud.sites.at({ group: setup.resourceGroup, app: shopApi }).putSettings(settings);
  const withHealth = await openTestProject(emulator, withStartup({ health: "/gone" }));
  await until("doctor finds it", async () => {
    expectWrong(await examine(withHealth), ["api: app answers", "api: health check path is set"]);
    return true;
  });
});
