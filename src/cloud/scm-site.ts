import type { Readable } from "node:stream";

export interface Deployment {
  readonly id: string;
  /** True while the package is still being accepted; the ID changes afterwards. */
  readonly isTemporary: boolean;
  readonly isComplete: boolean;
  readonly status: "pending" | "building" | "deploying" | "failed" | "succeeded" | "cancelled" | "conflict" | "partial";
  readonly statusText: string;
  readonly progress: string;
  /** ISO date. */
  readonly receivedTime: string;
  readonly endTime?: string;
  readonly message: string;
  readonly deployer: string;
}

export interface DeploymentLogEntry {
  readonly id: string;
  readonly time: string;
  readonly message: string;
  readonly level: "info" | "warning" | "error";
  readonly hasDetails: boolean;
}

/** The SCM site (Kudu) of one web app, with a bearer token on each call. */
export interface ScmSite {
  /** Wakes the SCM container: the first call after a create or a settings change may take minutes. */
  warmUp(): Promise<void>;
  /** App settings as the SCM container sees them now. */
  getSettings(): Promise<Record<string, string>>;
  /** Uploads and returns as soon as Kudu has accepted the package. Each try asks for a fresh stream. */
  zipDeploy(body: { readonly stream: () => Readable; readonly size?: number }): Promise<{ readonly deploymentId: string }>;
  latest(): Promise<Deployment | undefined>;
  getDeployment(id: string): Promise<Deployment | undefined>;
  listLog(id: string): Promise<DeploymentLogEntry[]>;
  listLogDetails(id: string, logId: string): Promise<DeploymentLogEntry[]>;
  isDeploying(): Promise<boolean>;
  /** The raw log stream (plain lines, no SSE framing) until the server or the signal ends it. */
  openLogStream(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** All log files as one zip. */
  downloadLogs(): Promise<Readable>;
}
