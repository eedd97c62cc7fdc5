import { homedir } from "node:os";

/** The person's home folder; `undefined` where HOME is not set and the system knows none (a container whose user has no entry). */
export function homeFolder(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}
