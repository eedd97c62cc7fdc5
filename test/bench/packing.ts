import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { pack } from "../../src/package/pack.ts";
import { line, median, run, type Size, times, work } from "./tools.ts";

const FILE_BYTES = 20_000;

/** 5,000 files of 20 KB, half of each random, against `zip -1 -r` of the same folder. */
export async function packing(size: Size): Promise<void> {
  const files = size === "full" ? 5_000 : 100;
  const folder = join(work, "many-files");
  for (let index = 0; index < files; index += 1) {
    const below = join(folder, `folder-${index % 50}`);
    mkdirSync(below, { recursive: true });
    const half = randomBytes(FILE_BYTES / 4).toString("hex");
    writeFileSync(join(below, `file-${index}.txt`), half + "passwordless ".repeat(FILE_BYTES).slice(0, FILE_BYTES - half.length));
  }
  const archive = join(work, "peer.zip");
  const ours: number[] = [];
  const peer: number[] = [];
  const archives = new Set<string>();
  let most = 0;
  for (let round = 0; round < times(size, 5); round += 1) {
    const before = process.memoryUsage.rss();
    const startedAt = performance.now();
    const hash = createHash("sha256");
    for await (const piece of (await pack(folder)).stream()) {
      hash.update(piece as Buffer);
      most = Math.max(most, process.memoryUsage.rss() - before);
    }
    ours.push(performance.now() - startedAt);
    archives.add(hash.digest("hex"));
    rmSync(archive, { force: true });
    const isThere = await run("zip", ["-1", "-q", "-r", archive, "."], {}, () => true, folder).catch(() => undefined);
    if (isThere) peer.push(isThere.ms);
  }
  const repeated = archives.size === 1 ? "byte-identical" : "DIFFERENT each time";
  line(
    `packing ${files} files of ${(files * FILE_BYTES) / 1e6} MB, ${repeated}, ≤ ${(most / 1e6).toFixed(0)} MB more memory`,
    median(ours),
    median(peer),
    "zip -1 -r",
    "≤ 1.2 ×",
  );
  rmSync(folder, { recursive: true, force: true });
}
