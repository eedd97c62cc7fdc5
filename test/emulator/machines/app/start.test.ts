import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AppDescription } from "../../../../src/emulator/machines/app/description.ts";
import { chooseStart } from "../../../../src/emulator/machines/app/start.ts";
import { onLoopback } from "../../../../src/emulator/machines/app/web-app-image.ts";

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ppg-start-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function siteOf(linuxFxVersion: string, appCommandLine: string, appFolder: string): AppDescription {
  return {
    siteId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop",
    siteName: "shop",
    resourceGroup: "g",
    subscriptionId: "s",
    regionName: "East US",
    sku: "Basic",
    hostName: "localhost:1",
    linuxFxVersion,
    appCommandLine,
    appSettings: {},
    connectionStrings: {},
    isHttpLogging: false,
    hasIdentity: false,
    instanceCount: 1,
    appFolder,
    homeFolder: appFolder,
    binFolder: join(appFolder, "bin"),
  };
}

const fastapi = "from fastapi import FastAPI\napp = FastAPI()\n";

test.each([
  ["FastAPI in main.py on 3.12", "PYTHON|3.12", { "main.py": fastapi }, "", undefined],
  ["FastAPI in main.py on 3.14", "PYTHON|3.14", { "main.py": fastapi }, "", "gunicorn -k uvicorn_worker.UvicornWorker main:app"],
  ["app.py goes to gunicorn, FastAPI or not", "PYTHON|3.12", { "app.py": fastapi }, "", "gunicorn app:app"],
  ["Django before Flask", "PYTHON|3.12", { "shop/wsgi.py": "", "app.py": "" }, "", "gunicorn shop.wsgi"],
  ["nothing known", "PYTHON|3.12", { "thing.py": "" }, "", undefined],
  ["a start-up command wins", "PYTHON|3.12", { "app.py": "" }, "python -m x", "python -m x"],
  ["a start-up file is run", "PYTHON|3.12", { "start.sh": "echo" }, "start.sh", "sh ./start.sh"],
  ["a start-up text file holds the command", "PYTHON|3.12", { "startup.txt": "python x.py\n" }, "startup.txt", "python x.py"],
  ["npm start", "NODE|20-lts", { "package.json": '{"scripts":{"start":"node x"},"main":"y.js"}' }, "", "npm start"],
  ["main of package.json", "NODE|20-lts", { "package.json": '{"main":"y.js"}' }, "", "node 'y.js'"],
  ["server.js before index.js", "NODE|20-lts", { "index.js": "", "server.js": "" }, "", "node server.js"],
  ["no entry", "NODE|20-lts", { "readme.txt": "" }, "", undefined],
  ["a stack that is not played", "PHP|8.4", { "index.php": "" }, "", undefined],
  ["a start-up command on such a stack", "PHP|8.4", { "index.php": "" }, "php -S 0.0.0.0:8000", "php -S 127.0.0.1:$PORT"],
] as const)("%s", async (_name, runtime, files, commandLine, expected) => {
  const chosen = await chooseStart(siteOf(runtime, commandLine, folderOf(files)), () => {});
  expect(chosen?.start.command).toBe(expected);
});

test.each([
  ["gunicorn --bind=0.0.0.0:$PORT main:app", "gunicorn --bind=127.0.0.1:$PORT main:app"],
  ["gunicorn --bind 0.0.0.0:8000 main:app", "gunicorn --bind 127.0.0.1:$PORT main:app"],
  ["gunicorn -b :8000 main:app", "gunicorn -b 127.0.0.1:$PORT main:app"],
  ["uvicorn main:app --host 0.0.0.0 --port 8000", "uvicorn main:app --host 127.0.0.1 --port $PORT"],
  ["uvicorn main:app --host :: --port=$PORT", "uvicorn main:app --host 127.0.0.1 --port=$PORT"],
  ["echo 10.0.0.0.0 80000", "echo 10.0.0.0.0 80000"],
])("%s stays on loopback", (given, expected) => {
  expect(onLoopback(given, 8000)).toBe(expected);
});
