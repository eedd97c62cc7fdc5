import { parseRuntime, type RuntimeRequest } from "../runtime.ts";
import type { AppDescription } from "./description.ts";
import { nodeImage } from "./node-image.ts";
import { pythonImage } from "./python-image.ts";
import { webAppImage } from "./web-app-image.ts";
import type { WorkerImage } from "./worker-image.ts";

type WorkerKind = RuntimeRequest["stack"];

const workerImages = {
  python: pythonImage,
  node: nodeImage,
  /** No interpreter stands in for it; a start-up command is run all the same. */
  other: webAppImage({
    name: "other",
    port: 8000,
    interpreter: async () => undefined,
    detect: async (_folder, version) => ({ reason: `Local Azure runs Python and Node only; no way to start ${version || "this stack"}.` }),
    programs: () => ({}),
    environment: () => ({ variables: {} }),
  }),
} satisfies Record<WorkerKind, WorkerImage>;

/** The image a site runs on, by its kind. */
export function workerImageOf({ linuxFxVersion }: AppDescription): WorkerImage {
  return workerImages[parseRuntime(linuxFxVersion).stack];
}
