import type { Package } from "../package/pack.ts";
import type { AppSetup } from "../project/setup.ts";
import type { Io } from "./io.ts";

/** The app's folder as a package that Azure builds; says so when it holds files that look like secrets. */
export async function packApp(io: Io, app: AppSetup): Promise<Package> {
  const { buildOnAzure, pack } = await import("../package/pack.ts");
  const packed = await pack(app.folder, { extraFiles: [buildOnAzure] });
  if (packed.suspicious.length > 0) {
    io.complain(
      `! ${app.key}: the package holds what looks like secrets: ${packed.suspicious.slice(0, 5).join(", ")} (leave them out with .webappignore)`,
    );
  }
  return packed;
}
