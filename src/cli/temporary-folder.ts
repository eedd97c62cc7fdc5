import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KnownError } from "../base/errors.ts";

/** A new folder below the system's temporary one; the caller removes it. Throws `project/unwritable`. */
export async function makeTemporaryFolder(prefix: string): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), prefix));
  } catch (cause) {
    throw new KnownError("project/unwritable", `nothing can be made in the temporary folder ${tmpdir()}`, {
      cause,
      hint: "set TMPDIR to a folder that you can write to",
    });
  }
}
