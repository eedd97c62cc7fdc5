import { createHmac } from "node:crypto";
import { join } from "node:path";
import { keptSecret } from "../../home.ts";
import type { Platform } from "../../platform.ts";
import type { Site } from "./model.ts";

/** The password of basic publishing, 60 characters. Made from a secret of the closed `keys` folder each time: the store holds the seed only. */
export function publishingPassword({ home }: Pick<Platform, "home">, { publishingSeed }: Pick<Site, "publishingSeed">): string {
  return createHmac("sha512", keptSecret(join(home.keys, "publishing-secret")))
    .update(publishingSeed)
    .digest("base64url")
    .slice(0, 60);
}
