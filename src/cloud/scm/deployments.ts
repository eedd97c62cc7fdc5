import type { Readable } from "node:stream";
import type { PipelineResponse } from "@azure/core-rest-pipeline";
import { pause } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
import { poll } from "../../base/poll.ts";
import { isTransient } from "../../base/transient.ts";
import { azureCodeOf } from "../errors.ts";
import { hints } from "../hints.ts";
import { type ScmClient, UPLOAD_TIMEOUT_MS } from "./client.ts";
import { refusal } from "./refusals.ts";

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

/** Deployments of one site. */
export interface ScmDeployments {
  /** Uploads and returns as soon as Kudu has accepted the package. Each try asks for a fresh stream. */
  zipDeploy(body: { readonly stream: () => Readable; readonly size?: number }): Promise<{ readonly deploymentId: string }>;
  latest(): Promise<Deployment | undefined>;
  getDeployment(id: string): Promise<Deployment | undefined>;
  listLog(id: string): Promise<DeploymentLogEntry[]>;
  listLogDetails(id: string, logId: string): Promise<DeploymentLogEntry[]>;
  isDeploying(): Promise<boolean>;
}

const UPLOAD_TRIES = 3;
const UPLOAD_PAUSE_MS = 3_000;
/** An upload that meets a running deployment waits this long for its end. */
const BUSY_DEADLINE_MS = 15 * 60_000;

const statuses: Readonly<Record<string, Deployment["status"]>> = {
  "-1": "cancelled",
  0: "pending",
  1: "building",
  2: "deploying",
  3: "failed",
  4: "succeeded",
  5: "conflict",
  6: "partial",
};

interface WireDeployment {
  readonly id?: string;
  readonly status?: number;
  readonly status_text?: string | null;
  readonly progress?: string | null;
  readonly received_time?: string | null;
  readonly end_time?: string | null;
  readonly message?: string | null;
  readonly deployer?: string | null;
  readonly complete?: boolean;
  readonly is_temp?: boolean;
}

function toDeployment(wire: WireDeployment): Deployment {
  return {
    id: wire.id ?? "",
    isTemporary: wire.is_temp ?? false,
    isComplete: wire.complete ?? false,
    status: statuses[String(wire.status ?? 0)] ?? "pending",
    statusText: wire.status_text ?? "",
    progress: wire.progress ?? "",
    receivedTime: wire.received_time ?? "",
    ...(wire.end_time && { endTime: wire.end_time }),
    message: wire.message ?? "",
    deployer: wire.deployer ?? "",
  };
}

interface WireLogEntry {
  readonly id?: string;
  readonly log_time?: string;
  readonly message?: string | null;
  readonly type?: number;
  readonly details_url?: string | null;
}

const toLogEntry = ({ id, log_time, message, type, details_url }: WireLogEntry): DeploymentLogEntry => ({
  id: id ?? "",
  time: log_time ?? "",
  message: message ?? "",
  level: type === 2 ? "error" : type === 1 ? "warning" : "info",
  hasDetails: Boolean(details_url),
});

export function deployments({ app, context, send, readJson }: ScmClient): ScmDeployments {
  const { clock, onProgress, signal } = context;
  const deploymentAt = async (what: string, path: string): Promise<Deployment | undefined> => {
    const wire = await readJson<WireDeployment>(what, path);
    return wire && toDeployment(wire);
  };
  const latest = () => deploymentAt("read the latest deployment", "/api/deployments/latest");
  const isDeploying = async (): Promise<boolean> => {
    const answer = await readJson<{ value?: string | boolean }>("ask for running deployments", "/api/isdeploying");
    return String(answer?.value).toLowerCase() === "true";
  };
  const logAt = async (path: string): Promise<DeploymentLogEntry[]> =>
    // Early in a deployment there is no log yet (404).
    ((await readJson<readonly WireLogEntry[]>("read the deployment log", path)) ?? []).map(toLogEntry);

  const untilIdle = (): Promise<boolean> =>
    poll(isDeploying, (isAtWork) => !isAtWork, {
      clock,
      signal,
      deadlineMs: BUSY_DEADLINE_MS,
      intervalMs: 5_000,
      onWait: () => onProgress?.("waiting for another deployment to end"),
      late: () => new KnownError("azure/busy", `another deployment of ${app} does not end`, { hint: hints.deploymentState }),
    });

  /** After a broken upload: the deployment that it started all the same, if it did. */
  const startedSince = (before: Deployment | undefined): Promise<Deployment | undefined> => {
    const look = async (): Promise<Deployment | undefined> => {
      const now = await latest();
      return now?.id === before?.id || now?.receivedTime === before?.receivedTime ? undefined : now;
    };
    // While the package is still being taken in, the ID is one that nobody knows later.
    return poll(look, (now) => !now?.isTemporary, { clock, signal, deadlineMs: UPLOAD_TIMEOUT_MS, intervalMs: 1_000 });
  };

  const accepted = async ({ headers }: PipelineResponse, before: Deployment | undefined): Promise<{ deploymentId: string }> => {
    const deploymentId = headers.get("scm-deployment-id") ?? (await startedSince(before))?.id;
    if (deploymentId) return { deploymentId };
    throw new KnownError("deploy/interrupted", `the SCM site took the package of ${app} but named no deployment`, {
      hint: "run `passwordless-pg deploy` again",
    });
  };

  const zipDeploy: ScmDeployments["zipDeploy"] = async ({ stream, size }) => {
    const before = await latest();
    const upload = async () => {
      const response = await send("upload the package", "/api/zipdeploy?isAsync=true", {
        method: "POST",
        headers: { "content-type": "application/zip", ...(size !== undefined && { "content-length": String(size) }) },
        body: stream,
        timeoutMs: UPLOAD_TIMEOUT_MS,
      });
      if (response.status < 300) return accepted(response, before);
      throw refusal(`take the package of ${app}`, response);
    };
    for (let tries = 1; ; tries += 1) {
      let trouble: unknown;
      try {
        return await upload();
      } catch (error) {
        if (!isTransient(error)) throw error;
        trouble = error;
      }
      if (azureCodeOf(trouble) === "HTTP 409") await untilIdle();
      else {
        // The front end gives up before Kudu does: sending again would only meet a lock.
        const started = await startedSince(before);
        if (started) return { deploymentId: started.id };
      }
      if (tries === UPLOAD_TRIES) throw trouble;
      // After a lock, too: nothing may be at work there, and it refuses all the same.
      await pause(clock, signal, Math.max((trouble instanceof KnownError && trouble.retryAfterMs) || 0, UPLOAD_PAUSE_MS));
    }
  };

  return {
    zipDeploy,
    latest,
    getDeployment: (id) => deploymentAt("read the deployment", `/api/deployments/${encodeURIComponent(id)}`),
    listLog: (id) => logAt(`/api/deployments/${encodeURIComponent(id)}/log`),
    listLogDetails: (id, logId) => logAt(`/api/deployments/${encodeURIComponent(id)}/log/${encodeURIComponent(logId)}`),
    isDeploying,
  };
}
