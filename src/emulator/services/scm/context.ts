import type { AppLog } from "../../machines/app/log.ts";
import type { Platform } from "../../platform.ts";
import type { Deployments } from "./deployments.ts";
import type { ScmSubject } from "./subject.ts";

/** What the routes of one SCM site work on. */
export interface ScmContext {
  readonly platform: Platform;
  readonly subject: () => ScmSubject;
  readonly deployments: Deployments;
  readonly log: AppLog;
  /** `https://localhost:PORT` */
  readonly origin: () => string;
  /** Aborted when the SCM container restarts. */
  readonly container: () => AbortSignal;
}
