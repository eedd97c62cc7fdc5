import { dirname, join } from "node:path";
import { readManifest } from "../node-manifest.ts";
import { ownNode } from "../runtime.ts";
import { type Detection, isFile, webAppImage } from "./web-app-image.ts";

/** App Service's Node image (microsoft/Oryx: src/startupscriptgenerator; azure/kudu.md 5.3). */
export const nodeImage = webAppImage({
  name: "node",
  port: 8080,
  interpreter: async (version) => ownNode(version),
  detect,
  programs: ({ path }) => ({ node: path, npm: join(dirname(path), "npm"), npx: join(dirname(path), "npx") }),
  environment: () => ({ variables: {} }),
});

async function detect(folder: string): Promise<Detection> {
  const manifest = await readManifest(folder);
  if (manifest?.scripts?.start) return { command: "npm start", reason: "Found scripts.start in package.json" };
  if (manifest?.main) return { command: `node ${quote(manifest.main)}`, reason: `Found main in package.json: ${manifest.main}` };
  for (const name of ["bin/www", "server.js", "app.js", "index.js", "hostingstart.js"]) {
    if (await isFile(join(folder, name))) return { command: `node ${name}`, reason: `Found ${name}` };
  }
  return { reason: "No start script or entry file found; using the default static site" };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
