import type { Store } from "../../store.ts";
import type { RuntimeRequest } from "../runtime.ts";
import type { LogType } from "./log.ts";

/** The build said no: the app's fault. `message` is the line that tells why. */
export class BuildFailure extends Error {}

/** What a build works on. */
export interface BuildRequest {
  /** Resource ID of the site: its tools are swept after a `kill -9` of local Azure. */
  readonly owner: string;
  readonly store: Store;
  /** The unpacked package, which becomes the app's folder. */
  readonly folder: string;
  readonly runtime: RuntimeRequest;
  /** As in Azure, the build sees the app settings. */
  readonly appSettings: Readonly<Record<string, string>>;
  /** Package caches and finished environments; nothing is written outside of it and `folder`. */
  readonly cacheFolder: string;
  /** The sites, whose releases link to finished environments. */
  readonly sitesFolder: string;
  readonly signal: AbortSignal;
  /** One line of `Running oryx build...`. */
  say(line: string, type?: LogType): void;
}
