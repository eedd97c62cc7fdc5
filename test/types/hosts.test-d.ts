// Read by the compiler alone: each line that is expected to be wrong fails `tsc` when it is not.
import type { AppHost } from "../../src/hosts/app-host.ts";
import { hosts } from "../../src/hosts/hosts.ts";
import type { HostKind } from "../../src/project/file.ts";

const { webapp, functionapp } = hosts;

hosts satisfies Record<HostKind, AppHost>;
// @ts-expect-error a kind without a row
({ webapp }) satisfies Record<HostKind, AppHost>;
// @ts-expect-error a row for something that no project file can name
({ webapp, functionapp, container: webapp }) satisfies Record<HostKind, AppHost>;

const { connect: _connect, ...hole } = webapp;
// @ts-expect-error a row without a member
hole satisfies AppHost;
// @ts-expect-error a row with a member that nobody asks for
({ ...functionapp, slots: true }) satisfies AppHost;
