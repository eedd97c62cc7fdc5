import type { TokenCredential } from "@azure/core-auth";
import type { Clock } from "../base/clock.ts";
import type { Environment } from "./environment.ts";

/** What every adapter needs: where Azure is, who is asking, for which subscription, and how to stop. */
export interface CloudContext {
  readonly environment: Environment;
  readonly credential: TokenCredential;
  readonly subscriptionId: string;
  /** Aborted on Ctrl-C: every wait ends at once. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** `false`: what an unregistered resource provider would hold counts as absent, and the provider stays as it is. */
  readonly registersProviders?: boolean;
  /** Told while an operation runs, between polls too. */
  readonly onProgress?: (note: string) => void;
  /** Told what Azure warns of although the call has succeeded. */
  readonly onWarning?: (warning: string) => void;
  /** Told what a person should know of what was done, once it is done, and why a wait goes on. */
  readonly onNote?: (note: string) => void;
}
