import type { DeployedApp } from "./description.ts";

/** How an image starts an app. */
export interface WorkerStart {
  /** `appsvc/python:3.12`, as the platform's log names it. */
  readonly image: string;
  /** What stands in for it here: `PYTHON 3.12.1`. */
  readonly version: string;
  /** The first lines of the container's console. */
  readonly console: readonly string[];
  /** Shell text. Absent when there is nothing to run: then Azure's placeholder page is answered with 200. */
  readonly command?: string;
  /** What the app finds on its PATH: name → real path. */
  readonly programs: Readonly<Record<string, string>>;
}

/**
 * What Azure's container image does with an app of its kind. A kind of worker is one of these in a file of its own and a row in `worker-images.ts`:
 * nothing else in this room knows the kinds.
 */
export interface WorkerImage {
  /** Chooses how the app is started. Only looks. */
  start(app: DeployedApp): Promise<WorkerStart>;
  /** Has the worker on this port of 127.0.0.1 come up? Asked again and again until it has. */
  probe(port: number): Promise<boolean>;
  /** What the image adds to the container's environment; app settings win over `variables`. */
  environment(
    app: DeployedApp,
    port: number,
  ): {
    readonly variables: Readonly<Record<string, string>>;
    /** Activated: its `bin` comes first on the PATH. */
    readonly virtualEnvironment?: string;
  };
}
