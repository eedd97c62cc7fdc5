/** How far a deployment is, with the start of the new container. */
export interface DeploymentStatus {
  /** `BuildInProgress`, `RuntimeStarting`, `RuntimeSuccessful`, … */
  readonly status: string;
  readonly isTerminal: boolean;
  /** Only true for `RuntimeSuccessful`. */
  readonly isOk: boolean;
  readonly instances: { readonly inProgress: number; readonly successful: number; readonly failed: number };
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

const FAILED_STATUS = new Set(["RuntimeFailed", "BuildFailed", "BuildAborted", "TimedOut"]);

export interface WireDeploymentStatus {
  readonly status?: string;
  readonly numberOfInstancesInProgress?: number;
  readonly numberOfInstancesSuccessful?: number;
  readonly numberOfInstancesFailed?: number;
  readonly errors?: readonly { readonly extendedCode?: string; readonly code?: string; readonly message?: string }[] | null;
}

export function toDeploymentStatus(wire: WireDeploymentStatus): DeploymentStatus {
  const status = wire.status ?? "";
  const isOk = status === "RuntimeSuccessful";
  return {
    status,
    isOk,
    isTerminal: isOk || FAILED_STATUS.has(status),
    instances: {
      inProgress: wire.numberOfInstancesInProgress ?? 0,
      successful: wire.numberOfInstancesSuccessful ?? 0,
      failed: wire.numberOfInstancesFailed ?? 0,
    },
    errors: (wire.errors ?? []).map(({ extendedCode, code, message }) => ({ code: extendedCode ?? code ?? "", message: message ?? "" })),
  };
}
