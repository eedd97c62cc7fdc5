import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.ts";
import { noticesOf, packagesOf } from "./notices.ts";

/** `npm run build`: everything below `dist`. npm runs it in the package's folder. */
const dist = "dist";
rmSync(dist, { recursive: true, force: true });
const { inputs } = await bundle(dist);
copyFileSync("src/project/schema.json", join(dist, "passwordless-pg.schema.json"));
writeFileSync(join(dist, "THIRD_PARTY_NOTICES"), noticesOf(packagesOf(Object.keys(inputs))));
