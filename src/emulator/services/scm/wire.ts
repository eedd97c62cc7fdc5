import type { BuildLogEntry } from "../../machines/build/log.ts";
import { type Deployment, isComplete } from "./model.ts";

/** Kudu's stamps have seven decimals. */
function stamp(iso: string | undefined): string | null {
  return iso === undefined ? null : iso.replace("Z", "0000Z");
}

/**
 * A deployment object as `/api/deployments/{id}` shows it; recorded/appservice/kudu-latest-*.json.
 * @param base `https://localhost:PORT/api`, in the form the caller used
 * @param asTemporary the object of the first seconds, with its `temp-` id
 */
export function deploymentToWire(deployment: Deployment, siteName: string, base: string, asTemporary = false): object {
  const isDone = isComplete(deployment);
  const url = asTemporary || !isDone ? null : `${base}/deployments/${deployment.id}`;
  return {
    id: asTemporary ? deployment.tempId : deployment.id,
    status: isDone ? deployment.status : 0,
    status_text: asTemporary ? "Receiving changes." : deployment.statusText,
    author_email: "N/A",
    author: deployment.author,
    deployer: deployment.deployer,
    message: deployment.message,
    progress: asTemporary ? "Fetching changes." : deployment.progress,
    received_time: stamp(deployment.receivedTime),
    start_time: stamp(deployment.startTime),
    end_time: asTemporary ? null : stamp(deployment.endTime),
    last_success_end_time: asTemporary ? null : stamp(deployment.lastSuccessEndTime),
    complete: isDone,
    active: deployment.isActive,
    is_temp: asTemporary,
    is_readonly: !asTemporary,
    url,
    log_url: url === null ? null : `${url}/log`,
    site_name: siteName,
    build_summary: { errors: [], warnings: [] },
  };
}

/** One line of `/log`; recorded/appservice/kudu-deployment-log-200.json. */
export function logEntryToWire(entry: BuildLogEntry, logUrl: string | undefined): object {
  return {
    log_time: stamp(entry.time),
    id: entry.id,
    message: entry.message,
    type: entry.type,
    details_url: logUrl && entry.details.length > 0 ? `${logUrl}/${entry.id}` : null,
  };
}
