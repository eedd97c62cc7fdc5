/**
 * How long control-plane operations take, as `local start --clock` says.
 * `fast`: an operation ends once its work is done and it was polled `polls` times (or a second has passed unpolled), `Retry-After: 0`.
 * `recorded`: it ends after the recorded duration × `scale`, and `Retry-After` hints are scaled alike.
 */
export type ClockMode = { readonly kind: "fast" } | { readonly kind: "recorded"; readonly scale: number };

/** `fast` or `recorded:SCALE`, as `local start --clock` takes it and `local status` tells it. */
export function formatClockMode(mode: ClockMode): string {
  return mode.kind === "fast" ? "fast" : `recorded:${mode.scale}`;
}

/** A recorded duration on this clock, in milliseconds: 0 when fast. */
export function scaledMs(mode: ClockMode, recordedMs: number): number {
  return mode.kind === "fast" ? 0 : recordedMs * mode.scale;
}
