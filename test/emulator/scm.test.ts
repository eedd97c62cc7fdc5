import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { fileTest as test } from "../support/emulator.ts";
import { eventually, makeSite, pythonApp, type TestSite, zipOf } from "../support/sites.ts";

const build = { SCM_DO_BUILD_DURING_DEPLOYMENT: "true" };
/** A build that lasts until it is told to end: npm runs this script. */
const slowApp = {
  "package.json": '{"name":"slow","main":"index.js","scripts":{"build":"node -e \\"setTimeout(()=>{},60000)\\""}}',
  "index.js": "",
};

async function latest(site: TestSite): Promise<{ code: number; deployment: Record<string, unknown> }> {
  const answer = await site.kudu("GET", "/api/deployments/latest");
  return { code: answer.status, deployment: answer.body };
}

describe("who may use SCM", () => {
  // trap: kudu 7
  test("tokens for App Service or ARM; all others get the page real SCM shows", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-auth", { identity: true });
    const get = async (authorization?: string) =>
      emulator.fetch(`${site.scm}/api/settings`, authorization ? { headers: { authorization } } : {});
    const bearer = async (who: string, audience: string, more?: object) => `Bearer ${await emulator.tokenFor(who, audience, more)}`;
    for (const audience of ["https://appservice.azure.com", "https://management.azure.com"]) {
      expect((await get(await bearer(emulator.clientId, audience))).status).toBe(200);
    }
    const wrong = await get(await bearer(emulator.clientId, "https://ossrdbms-aad.database.windows.net"));
    expect([wrong.status, wrong.text.includes("Error 403 - This web app is stopped.")]).toEqual([403, true]);
    const own = (await site.arm("GET")).body.identity.principalId as string;
    expect((await get(await bearer(own, "https://appservice.azure.com"))).status).toBe(403);
    for (const authorization of [undefined, "Bearer nonsense", "Basic bm86bm8="]) {
      const none = await get(authorization);
      expect([none.status, none.text.includes("401 - Unauthorized")]).toEqual([401, true]);
    }
  });

  test("publishing credentials open it until the policy forbids them", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-basic");
    const { publishingUserName: user, publishingPassword: password } = (await site.arm("POST", "/config/publishingcredentials/list")).body
      .properties;
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const get = () => emulator.fetch(`${site.scm}/api/settings`, { headers: { authorization } });
    expect((await get()).status).toBe(200);
    await site.arm("PUT", "/basicPublishingCredentialsPolicies/scm", { properties: { allow: false } });
    expect((await get()).status).toBe(401);
  });
});

describe("zip deploy", () => {
  // trap: kudu 2, kudu 3, kudu 14, appservice 15
  test("the 202 has Azure's odd headers, the object is temporary first, the log tells the steps", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-deploy", { startup: "python app.py", settings: { ...build, PIP_NO_INDEX: "1" } });
    const posted = await site.kudu(
      "POST",
      "/api/zipdeploy?isAsync=true",
      await zipOf({ "app.py": pythonApp, "requirements.txt": "# none\n" }),
    );
    expect(posted.status).toBe(202);
    const id = posted.headers.get("scm-deployment-id") ?? "";
    expect(Object.fromEntries(posted.headers)).toMatchObject({
      retryafter: "30",
      location: expect.stringMatching(/^https:\/\/localhost:\d+\/api\/deployments\/latest\?deployer=Push-Deployer&time=[\d_-]+Z$/),
      server: "Kestrel",
    });
    const first = await latest(site);
    expect(first).toMatchObject({ code: 202, deployment: { status: 0, is_temp: true, url: null } });
    expect(first.deployment.id).toMatch(/^temp-[0-9a-f]{8}$/);
    const second = await latest(site);
    expect(second).toMatchObject({ code: 202, deployment: { id, status: 0, is_temp: false, complete: false } });
    const done = await site.waitFor(id);
    expect(done.body.properties).toMatchObject({ status: "RuntimeSuccessful", numberOfInstancesSuccessful: 1, errors: null });
    expect(await latest(site)).toMatchObject({
      code: 200,
      deployment: { id, status: 4, active: true, complete: true, site_name: "scm-deploy" },
    });
    const log = (await site.kudu("GET", `/api/deployments/${id}/log`)).body as {
      message: string;
      id: string;
      details_url: string | null;
    }[];
    const messages = log.map(({ message }) => message);
    expect(messages.slice(0, 2)).toEqual(["Updating submodules.", `Preparing deployment for commit id '${id.slice(0, 10)}'.`]);
    expect(messages.at(-1)).toMatch(/^Deployment successful\. deployer = Push-Deployer/);
    const oryx = log.find(({ message }) => message === "Running oryx build...");
    const details = (await site.kudu("GET", new URL(oryx?.details_url ?? "").pathname)).body as { message: string }[];
    expect(details.map(({ message }) => message)).toEqual(expect.arrayContaining(["Detecting platforms...", "Running pip install..."]));
    // The same requirements again: no second environment.
    const again = await site.deploy({ "app.py": pythonApp, "requirements.txt": "# none\n" });
    const secondLog = (await site.kudu("GET", `/deployments/${again.id}/log`)).text;
    expect(secondLog).not.toContain("/api/");
    const list = (await site.kudu("GET", "/api/deployments")).body as { id: string; active: boolean }[];
    expect(list.map(({ id: one, active }) => [one, active])).toEqual([
      [again.id, true],
      [id, false],
    ]);
  });

  // trap: kudu 6, kudu 10, appservice 3
  test("one at a time: 409 with Azure's text, and a settings write kills the one in flight", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-lock", { runtime: "NODE|20-lts", settings: build });
    const first = await site.kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf(slowApp));
    expect((await site.kudu("GET", "/api/isdeploying")).body).toEqual({ value: "True", msg: "" });
    const second = await site.kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf(slowApp));
    expect([second.status, second.text]).toEqual([409, "There is a deployment currently in progress. Please try again when it completes."]);
    await site.arm("PUT", "/config/appsettings", { properties: build });
    const done = await site.waitFor(first.headers.get("scm-deployment-id") ?? "");
    expect(done.body.properties.status).toBe("BuildAborted");
    const { deployment } = await latest(site);
    expect(deployment).toMatchObject({
      status: 3,
      status_text: expect.stringMatching(/^Deployment has been stopped due to SCM container restart\./),
    });
    expect((await site.kudu("GET", "/api/isdeploying")).body.value).toBe("False");
  });

  test("a failing pip is status 3 and BuildFailed, with the reason in the details", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-pip", { settings: { ...build, PIP_NO_INDEX: "1", PIP_FIND_LINKS: "" } });
    const failed = await site.deploy({ "app.py": "", "requirements.txt": "no-such-package-of-ours==1.0\n" });
    expect(failed.status).toBe("BuildFailed");
    const log = (await site.kudu("GET", `/api/deployments/${failed.id}/log`)).body as {
      message: string;
      type: number;
      details_url: string | null;
    }[];
    expect(log.at(-1)).toMatchObject({
      type: 2,
      message: expect.stringContaining("No matching distribution found for no-such-package-of-ours==1.0"),
    });
    const details = (await site.kudu("GET", new URL(log.find(({ details_url: url }) => url)?.details_url ?? "").pathname)).text;
    expect(details).toContain("No matching distribution found for no-such-package-of-ours==1.0");
    expect((await emulator.fetch(site.origin)).text).toContain("waiting for your content");
  });

  test("a deployment that is built while the one before still starts keeps its files", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-next", { runtime: "NODE|20-lts", startup: "node index.js", settings: build });
    // Both go on when the test says so: a file appears.
    const gates = mkdtempSync(join(tmpdir(), "ppg-gates-"));
    chmodSync(gates, 0o711);
    onTestFinished(() => rmSync(gates, { recursive: true }));
    const behind = (gate: string, work: string): string =>
      `const timer = setInterval(() => { if (!require("fs").existsSync("${join(gates, gate)}")) return; clearInterval(timer); ${work} }, 20);`;
    const open = (gate: string): void => writeFileSync(join(gates, gate), "");
    const app = (words: string): string => `require("http").createServer((q, r) => r.end("${words}")).listen(process.env.PORT);`;
    const push = async (files: Readonly<Record<string, string>>) => site.kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf(files));
    const first = await push({ "package.json": '{"name":"one","main":"index.js"}', "index.js": behind("start", app("one")) });
    await eventually(
      () => site.kudu("GET", "/api/isdeploying"),
      ({ body }) => body.value === "False",
    );
    const slow = { name: "two", main: "index.js", scripts: { build: "node build.js" } };
    const second = await push({ "package.json": JSON.stringify(slow), "build.js": behind("build", ""), "index.js": app("two") });
    expect(second.status).toBe(202);
    open("start");
    await site.waitFor(first.headers.get("scm-deployment-id") ?? "");
    expect((await site.kudu("GET", "/api/isdeploying")).body.value).toBe("True");
    open("build");
    const done = await site.waitFor(second.headers.get("scm-deployment-id") ?? "");
    expect(done.body.properties.status).toBe("RuntimeSuccessful");
    expect((await emulator.fetch(site.origin)).text).toBe("two");
  });

  test("what is no zip, or leads out of the folder, changes nothing", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-evil", { startup: "python app.py" });
    await site.deploy({ "app.py": pythonApp });
    for (const bytes of [
      Buffer.from("no zip at all"),
      Buffer.from((await zipOf({ "aaevil.py": "x" })).toString("latin1").replaceAll("aaevil.py", "../vil.py"), "latin1"),
    ]) {
      const posted = await site.kudu("POST", "/api/publish?type=zip&async=true", bytes);
      expect(posted.status).toBe(202);
      expect((await site.waitFor(posted.headers.get("scm-deployment-id") ?? "")).body.properties.status).toBe("BuildFailed");
    }
    expect((await emulator.fetch(`${site.origin}/x`)).status).toBe(200);
    expect((await site.kudu("POST", "/api/publish?type=none", Buffer.from("x"))).text).toBe("type='none' not recognized");
    expect((await site.kudu("POST", "/api/publish?type=war", Buffer.from("x"))).status).toBe(400);
  });

  test("single files and a zip that keeps what is there; a plain zip replaces all", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-files", { startup: "python app.py" });
    await site.deploy({ "app.py": pythonApp, "old.txt": "old" });
    const publish = async (query: string, bytes: Buffer): Promise<string> => {
      const posted = await site.kudu("POST", `/api/publish?async=true&${query}`, bytes);
      expect(posted.status, posted.text).toBe(202);
      return (await site.waitFor(posted.headers.get("scm-deployment-id") ?? "")).body.properties.status as string;
    };
    const names = async (): Promise<readonly string[]> =>
      ((await site.kudu("GET", "/api/vfs/site/wwwroot/")).body as { name: string }[]).map(({ name }) => name).sort();
    expect(await publish("type=static&path=assets/a.css", Buffer.from("a {}"))).toBe("RuntimeSuccessful");
    expect((await site.kudu("GET", "/api/vfs/site/wwwroot/assets/a.css")).text).toBe("a {}");
    expect(await publish("type=startup", Buffer.from("python app.py"))).toBe("RuntimeSuccessful");
    expect(await publish("type=zip&clean=false", await zipOf({ "new.txt": "new" }))).toBe("RuntimeSuccessful");
    expect(await names()).toEqual(["app.py", "assets", "new.txt", "old.txt", "startup.sh"]);
    expect((await site.kudu("POST", "/api/publish?type=static", Buffer.from("x"))).text).toBe("Path must be defined for type='static'");
    expect(await publish("type=static&path=../../outside", Buffer.from("x"))).toBe("BuildFailed");
    expect(await publish("type=zip", await zipOf({ "app.py": pythonApp }))).toBe("RuntimeSuccessful");
    expect(await names()).toEqual(["app.py"]);
  });

  test("sync deploy answers when it is done; files can be looked at", async ({ emulator }) => {
    const site = await makeSite(emulator, "scm-vfs", { startup: "python app.py" });
    const posted = await site.kudu("POST", "/zipdeploy", await zipOf({ "app.py": pythonApp, "sub/x.txt": "hello" }));
    expect([posted.status, posted.text]).toEqual([200, ""]);
    const names = ((await site.kudu("GET", "/api/vfs/site/wwwroot/")).body as { name: string }[]).map(({ name }) => name);
    expect(names.sort()).toEqual(["app.py", "sub"]);
    expect((await site.kudu("GET", "/api/vfs/site/wwwroot/sub/x.txt")).text).toBe("hello");
    for (const path of ["..%2f..%2f..%2f..%2fetc/passwd", "site/wwwroot/..%2f..%2f..%2f..%2fkeys/control-key"]) {
      expect((await site.kudu("GET", `/api/vfs/${path}`)).status).toBe(404);
    }
    expect((await site.kudu("GET", "/api/nothing/here")).text).toContain("No route registered");
  });
});

test("logs of a running app are listed and come as a zip", async ({ emulator }) => {
  const site = await makeSite(emulator, "scm-logs", { startup: "python app.py" });
  await site.arm("PUT", "/config/logs", { properties: { httpLogs: { fileSystem: { enabled: true, retentionInMb: 35 } } } });
  await site.deploy({ "app.py": pythonApp });
  const logs = await eventually(
    async () => (await site.kudu("GET", "/api/logs/docker")).body as { path: string; href: string; machineName: string }[],
    (found) => found.length === 2,
  );
  expect(logs.map(({ path }) => path.replace(/^.*_lw/, "lw").replace(/lw\w+?_/, ""))).toEqual(["default_docker.log", "docker.log"]);
  const own = await site.kudu("GET", new URL(logs[0]?.href ?? "").pathname);
  expect(own.text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z hello from the app$/m);
  expect((await site.kudu("GET", new URL(logs[1]?.href ?? "").pathname)).text).toContain("Site started.");
  expect((await site.kudu("GET", "/api/logs/docker/zip")).text.startsWith("PK")).toBe(true);
});
