import type { DeploymentLogEntry } from "../../cloud/scm/deployments.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";

/** The part of the build log that says why: errors with their details, else the last lines of the last details. */
export async function describeBuildFailure(scm: ScmSite, id: string): Promise<string> {
  const entries = await scm.listLog(id);
  const detailed: { entry: DeploymentLogEntry; details: readonly DeploymentLogEntry[] }[] = await Promise.all(
    entries.map(async (entry) => ({ entry, details: entry.hasDetails ? await scm.listLogDetails(id, entry.id) : [] })),
  );
  const all = detailed.flatMap(({ entry, details }) => [entry, ...details]);
  const lines = all
    .flatMap(({ message }) => message.split(/\r?\n|\\n/))
    .map((line) => line.trimEnd())
    .filter(Boolean);
  const telling = lines.filter((line) => /\b(error|failed|cannot|no matching|not found|exception|traceback|npm err)/i.test(line));
  return (telling.length > 0 ? telling : lines)
    .slice(-15)
    .map((line) => `  ${line}`)
    .join("\n");
}
