import { randomUUID } from "node:crypto";
import { type StateTable, stateAfter } from "../../state-table.ts";

/** Kudu's numbers. */
export const status = { pending: 0, building: 1, deploying: 2, failed: 3, success: 4 } as const;

/** States of ARM `deploymentStatus` that are seen here (azure/kudu.md 3.3). */
export const phases = [
  "BuildRequestReceived",
  "BuildInProgress",
  "RuntimeStarting",
  "RuntimeSuccessful",
  "RuntimeFailed",
  "BuildFailed",
  "BuildAborted",
] as const;

export type Phase = (typeof phases)[number];

export const terminalPhases: readonly Phase[] = ["RuntimeSuccessful", "RuntimeFailed", "BuildFailed", "BuildAborted"];

/** What Kudu says in each phase: to it a deployment is over when the content is in place, whether the app starts or not. */
const statusIn: Readonly<Record<Phase, number>> = {
  BuildRequestReceived: status.pending,
  BuildInProgress: status.building,
  RuntimeStarting: status.success,
  RuntimeSuccessful: status.success,
  RuntimeFailed: status.success,
  BuildFailed: status.failed,
  BuildAborted: status.failed,
};

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

/** What happens to a deployment. Times are ISO, UTC. */
export type DeploymentEvent =
  | { readonly kind: "building" }
  | { readonly kind: "built"; readonly at: string }
  | { readonly kind: "build-failed"; readonly at: string; readonly text: string }
  /** The SCM container restarted, or local Azure was killed. */
  | { readonly kind: "aborted"; readonly at: string; readonly text: string }
  | { readonly kind: "started"; readonly successful: number; readonly failed: number }
  /** Of all instances not one came up. */
  | { readonly kind: "start-failed"; readonly failed: number };

export const phaseTable: StateTable<Phase, DeploymentEvent["kind"]> = {
  building: { BuildRequestReceived: "BuildInProgress" },
  built: { BuildInProgress: "RuntimeStarting" },
  "build-failed": { BuildInProgress: "BuildFailed" },
  aborted: { BuildRequestReceived: "BuildAborted", BuildInProgress: "BuildAborted" },
  started: { RuntimeStarting: "RuntimeSuccessful" },
  "start-failed": { RuntimeStarting: "RuntimeFailed" },
};

/** The deployment after an event. Throws on an event that is not legal in its phase, which is a bug. */
export function afterDeploymentEvent(deployment: Deployment, event: DeploymentEvent): Deployment {
  const phase = stateAfter(phaseTable, deployment.phase, event.kind);
  return { ...deployment, ...changeBy(event, deployment), phase, status: statusIn[phase] };
}

function changeBy(event: DeploymentEvent, { id }: Deployment): Partial<Deployment> {
  switch (event.kind) {
    case "building":
      return { statusText: `Building and Deploying '${id}'.`, progress: "Running deployment command..." };
    case "built":
      return {
        statusText: "",
        progress: "",
        endTime: event.at,
        lastSuccessEndTime: event.at,
        isActive: true,
        instances: { inProgress: 1, successful: 0, failed: 0 },
      };
    case "build-failed":
    case "aborted":
      return { statusText: event.text, progress: "", endTime: event.at };
    case "started":
      return { instances: { inProgress: 0, successful: event.successful, failed: event.failed } };
    case "start-failed":
      return { instances: { inProgress: 0, successful: 0, failed: event.failed } };
  }
}

/** azure/kudu.md section 2 */
export const RECYCLED =
  "Deployment has been stopped due to SCM container restart. The restart can happen due to a management operation on site. Do not perform a management operation and a deployment operation in quick succession. Adding a small delay can help avoid any conflicts.";
