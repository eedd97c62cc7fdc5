import { randomUUID } from "node:crypto";
import { exitCodeOf } from "../../base/errors.ts";
import { verify as verifyChain } from "../../graph/project-checks.ts";
import { openProject } from "../open-project.ts";
import { checkLine, checksBody } from "../output/checks.ts";
import { withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

export async function verify(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  io.note("checking the chain from Azure's control plane to a row in the database");
  return withSession(io, options, project, async (session) => {
    const colors = paint(io.hasColor);
    const checks = await verifyChain({
      ...session,
      marker: `passwordless-pg verify ${randomUUID()}`,
      onCheck: (check) => {
        if (!io.isJson) io.result(checkLine(check, colors));
      },
    });
    const failed = checks.filter(({ ok }) => !ok).length;
    if (io.isJson) io.document(checksBody(checks));
    else io.result(failed === 0 ? `All ${checks.length} checks passed.` : `${failed} of ${checks.length} checks failed.`);
    return failed === 0 ? 0 : exitCodeOf["verify/failed"];
  });
}
