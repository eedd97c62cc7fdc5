import { KnownError } from "../../base/errors.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import { excerptErrors } from "../../logs/error-excerpt.ts";
import type { DeploymentContext } from "./deployment-context.ts";

/** Of the app's log, for the message of a failed start. */
const logLines = 30;
const logBytes = 512 * 1024;
const logReadMs = 20_000;

/** What the app said of its failed start, for the error message: the telling lines of its log file, else the last ones of the stream. */
export async function describeLastLines(scm: ScmSite, context: DeploymentContext): Promise<string> {
  const lines = (await fromLogFile(scm, context)) ?? (await fromLogStream(scm, context));
  return lines.length > 0 ? `:\n${lines.map((line) => `  ${line}`).join("\n")}` : "";
}

/** `undefined` when there is no such file, or none that can be read now: the message is better without its lines than not at all. */
async function fromLogFile(scm: ScmSite, context: DeploymentContext): Promise<readonly string[] | undefined> {
  try {
    const path = await scm.newestAppLog();
    if (path === undefined) return undefined;
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(logReadMs)]);
    const { bytes } = await scm.readLogFile(path, { lastBytes: logBytes, signal });
    const lines = excerptErrors(Buffer.from(bytes).toString("utf8").split(/\r?\n/), logLines);
    return lines.length > 0 ? lines : undefined;
  } catch (error) {
    if (context.signal.aborted || !(error instanceof KnownError)) throw error;
    return undefined;
  }
}

/** The tail that the log stream begins with. */
async function fromLogStream(scm: ScmSite, context: DeploymentContext): Promise<readonly string[]> {
  const limit = AbortSignal.any([context.signal, AbortSignal.timeout(4_000)]);
  let text = "";
  try {
    for await (const chunk of await scm.openLogStream(limit)) {
      text += Buffer.from(chunk).toString("utf8");
      if (text.length > 64_000 || text.includes("Starting Live Log Stream")) break;
    }
  } catch (error) {
    if (context.signal.aborted) throw error;
    // the message is better without these lines than not at all
  }
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line && !/Log (Tail|Stream)|log-streaming service|^\/.*\(http/.test(line))
    .slice(-20);
}
