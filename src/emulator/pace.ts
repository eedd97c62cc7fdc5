import type { Pace } from "./operations.ts";

/** `fast` or `recorded:SCALE`, as `local start --clock` takes it and `local status` tells it. */
export function wordsOfPace(pace: Pace): string {
  return pace.kind === "fast" ? "fast" : `recorded:${pace.scale}`;
}
