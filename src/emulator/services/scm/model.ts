import { randomUUID } from "node:crypto";

/** Kudu's numbers. */
export const status = { pending: 0, building: 1, deploying: 2, failed: 3, success: 4 } as const;

/** States of ARM `deploymentStatus` (azure/kudu.md 3.3). */
export type Phase =
  | "BuildRequestReceived"
  | "BuildInProgress"
  | "BuildSuccessful"
  | "RuntimeStarting"
  | "RuntimeSuccessful"
  | "RuntimeFailed"
  | "BuildFailed"
  | "BuildAborted";

export const terminalPhases: readonly Phase[] = ["RuntimeSuccessful", "RuntimeFailed", "BuildFailed", "BuildAborted"];

/** One deployment as the store keeps it. Times are ISO, UTC. */
export interface Deployment {
  readonly id: string;
  readonly siteId: string;
  /** `temp-xxxxxxxx`: the id shown first. */
  readonly tempId: string;
  /** How often `latest` still shows the temporary object while the deployment runs. */
  readonly tempViews: number;
  readonly deployer: string;
  readonly author: string;
  readonly message: string;
  readonly receivedTime: string;
  readonly startTime: string;
  readonly endTime?: string;
  readonly lastSuccessEndTime?: string;
  readonly status: number;
  readonly statusText: string;
  readonly progress: string;
  readonly isActive: boolean;
  readonly phase: Phase;
  readonly instances: { readonly inProgress: number; readonly successful: number; readonly failed: number };
}

export interface Push {
  readonly deployer: string;
  readonly author: string;
  readonly message: string;
}

export function received(siteId: string, push: Push, now: string): Deployment {
  return {
    id: randomUUID(),
    siteId,
    tempId: `temp-${randomUUID().slice(0, 8)}`,
    tempViews: 1,
    ...push,
    receivedTime: now,
    startTime: now,
    status: status.pending,
    statusText: "Receiving changes.",
    progress: "Fetching changes.",
    isActive: false,
    phase: "BuildRequestReceived",
    instances: { inProgress: 0, successful: 0, failed: 0 },
  };
}

export function isComplete(deployment: Deployment): boolean {
  return deployment.status === status.failed || deployment.status === status.success;
}

/** What changes at each event of a deployment's life. */
export const become = {
  building: (id: string): Partial<Deployment> => ({
    status: status.building,
    statusText: `Building and Deploying '${id}'.`,
    progress: "Running deployment command...",
    phase: "BuildInProgress",
  }),
  built: (now: string): Partial<Deployment> => ({
    status: status.success,
    statusText: "",
    progress: "",
    endTime: now,
    lastSuccessEndTime: now,
    isActive: true,
    phase: "RuntimeStarting",
    instances: { inProgress: 1, successful: 0, failed: 0 },
  }),
  failed: (now: string, text: string): Partial<Deployment> => ({
    status: status.failed,
    statusText: text,
    progress: "",
    endTime: now,
    phase: "BuildFailed",
  }),
  aborted: (now: string, text: string): Partial<Deployment> => ({ ...become.failed(now, text), phase: "BuildAborted" }),
  started: (successful: number, failed: number): Partial<Deployment> => ({
    phase: failed > 0 && successful === 0 ? "RuntimeFailed" : "RuntimeSuccessful",
    instances: { inProgress: 0, successful, failed },
  }),
};

/** azure/kudu.md section 2 */
export const RECYCLED =
  "Deployment has been stopped due to SCM container restart. The restart can happen due to a management operation on site. Do not perform a management operation and a deployment operation in quick succession. Adding a small delay can help avoid any conflicts.";
