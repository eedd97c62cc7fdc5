import type { AnyStep, Observed } from "./step.ts";

/**
 * What a step was observed to be: in a plan before anything was changed, in a report at the end. `undefined` when it is absent, was not read,
 * or is not in it.
 */
export function observedIn<S extends AnyStep>(
  { steps }: { readonly steps: readonly { readonly step: AnyStep; readonly observed: unknown }[] },
  step: S,
): Observed<S> | undefined {
  return steps.find((one) => one.step === step)?.observed as Observed<S> | undefined;
}
