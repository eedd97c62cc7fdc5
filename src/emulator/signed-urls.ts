import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";

/** Polling URLs as Azure signs them. */
export interface UrlSigner {
  /** Appends Azure's signed query members (`t`, `c`, `s`, `h`), which a client must send back verbatim. */
  sign(url: string): string;
  /** Is the URL's signature the one we gave, over this very path and query? */
  isSigned(url: URL): boolean;
}

export function createUrlSigner(secret: string, clock: Clock): UrlSigner {
  return {
    sign: (text) => {
      const url = new URL(text);
      url.searchParams.set("t", String(621355968000000000n + BigInt(clock.now()) * 10000n));
      // Azure's own `c` is a certificate of 2-3 KB; long URLs are part of what a client must stand.
      url.searchParams.set("c", createHash("sha512").update(`${secret}c`).digest("base64url").repeat(24));
      url.searchParams.set("s", seal(url, secret));
      url.searchParams.set("h", createHash("sha256").update(url.search).digest("base64url"));
      return url.href;
    },
    isSigned: (url) => {
      const bare = new URL(url.href);
      const seals = [bare.searchParams.get("s"), bare.searchParams.get("h")];
      bare.searchParams.delete("h");
      const hash = createHash("sha256").update(bare.search).digest("base64url");
      bare.searchParams.delete("s");
      return seals[0] === seal(bare, secret) && seals[1] === hash;
    },
  };
}

function seal(url: URL, secret: string): string {
  return createHash("sha256").update(`${secret}${url.pathname}${url.search}`).digest("base64url");
}
