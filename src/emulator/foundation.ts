import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import type { EmulatorOptions } from "./emulator-options.ts";
import { type HomeFolders, homeFiles, keptSecret, keptText, prepareHome } from "./home.ts";
import { type Certificates, openCertificates } from "./http/certificates.ts";
import { createFaults, type Faults } from "./http/faults.ts";
import { type Journal, openJournal } from "./http/journal.ts";
import { createOperations, type Operations } from "./operations.ts";
import { openDirectory, type TenantDirectory } from "./services/entra/directory.ts";
import { isSigningKey, newSigningKeyPem } from "./services/entra/tokens.ts";
import { createStore, type Store } from "./store.ts";

/** What stands before there is a port: everything that a home keeps, opened. */
export interface Foundation {
  readonly home: HomeFolders;
  readonly clock: Clock;
  readonly store: Store;
  readonly operations: Operations;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly certificates: Certificates;
  readonly directory: TenantDirectory;
  log(line: string): void;
  onBug(error: unknown): void;
}

/** Made once for a home, each in its own file of `keys`. Apart from all else, so that they reach nobody by the way. */
export interface HomeSecrets {
  readonly client: string;
  readonly user: string;
  readonly control: string;
  readonly tokenKeyPem: string;
}

/** Opens a home, making what is not there. Throws `local/failed` for one that cannot be read. */
export function openFoundation({ homeFolder, clockMode = { kind: "fast" }, log = () => undefined }: EmulatorOptions): {
  readonly foundation: Foundation;
  readonly secrets: HomeSecrets;
} {
  const home = prepareHome(homeFolder);
  const files = homeFiles(home.root);
  const clock = systemClock;
  const onBug = (error: unknown): void => log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  const onRemade = (file: string): void =>
    log(`${file} was damaged, too short or too old: it is made anew, and what was copied from it is void`);
  const key = (name: string): string => join(home.keys, name);
  const secret = (name: string): string => keptSecret(key(name), onRemade);
  const store = createStore(files.state);
  const foundation: Foundation = {
    home,
    clock,
    store,
    operations: createOperations({ store, clock, clockMode, signingSecret: secret("signing-secret"), onBug }),
    journal: openJournal(files.journal),
    faults: createFaults(),
    certificates: openCertificates(home.keys, files, onRemade),
    directory: openDirectory(store),
    log,
    onBug,
  };
  const secrets: HomeSecrets = {
    client: secret("client-secret"),
    user: secret("user-password"),
    control: secret("control-key"),
    tokenKeyPem: keptText(key("token.key"), { make: newSigningKeyPem, isFit: isSigningKey, onRemade }),
  };
  return { foundation, secrets };
}
