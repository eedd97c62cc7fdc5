import type { ClockMode } from "./clock-mode.ts";
import type { OnTraffic } from "./http/traffic.ts";

export interface EmulatorOptions {
  /** Made when absent. One running local Azure a home. */
  readonly homeFolder: string;
  /** `fast` by default. */
  readonly clockMode?: ClockMode;
  /** The main port. By default the one of the last time, else any free one. */
  readonly port?: number;
  /** 3600 by default. */
  readonly tokenLifetimeSeconds?: number;
  log?(line: string): void;
  /** What is not as it was and somebody should do something about; it stands in the log too. */
  tell?(line: string): void;
  /** For tests: told of every call before and after its work. */
  readonly onTraffic?: OnTraffic;
  /** For tests: loopback addresses count as the internet, so that PostgreSQL clients need a firewall rule of their own. Apps do, too. */
  readonly isCallerOutside?: boolean;
  /** Asked for by the control API; the owner of the process ends it. */
  onShutdown?(): void;
}
