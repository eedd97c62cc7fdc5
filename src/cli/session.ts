import type { Clock } from "../base/clock.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { createFirewallAccess, type FirewallAccess } from "../cloud/firewall-access.ts";
import type { Project } from "../project/read-project.ts";
import { cleanupJournal } from "./cleanup-journal.ts";
import { connect } from "./connect.ts";
import { showError } from "./output/error.ts";
import { withRunLock } from "./run-lock.ts";
import { isStop, nothingChanged } from "./stop-signal.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

/** A project together with the cloud it lives in. */
export interface Session extends Project {
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What Azure has warned of in this session, each once. */
  readonly azureWarnings: ReadonlySet<string>;
  /** Gives back what was borrowed. Call on every way out. */
  close(): Promise<void>;
}

/** Giving back may meet a server that is busy for minutes. */
const cleanupMs = 10 * 60_000;

/** The name under which this machine's runs know the project. */
const nameOf = (cloud: Cloud, { setup }: Project): string => [cloud.subscriptionId, setup.resourceGroup, setup.owner].join("/");

/** Signs in and opens the adapters. */
async function openSession(io: Io, options: GlobalOptions, project: Project): Promise<Session> {
  const { clock, signal } = io;
  const { cloud, azureWarnings, reopen } = await connect(io, options, project.setup.server.version);
  const firewallAccess = createFirewallAccess({
    servers: cloud.postgresServers,
    openServersForCleanup: async () => (await reopen(AbortSignal.timeout(cleanupMs))).postgresServers,
    group: project.setup.resourceGroup,
    callerId: cloud.caller.objectId,
    owner: project.setup.owner,
    clock,
    signal,
    journal: cleanupJournal(nameOf(cloud, project)),
    onNote: io.note,
  });
  // Once at a time: the run's last net may want it while the session is about it.
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= firewallAccess.revoke().finally(() => {
      closing = undefined;
    });
    return closing;
  };
  return { ...project, cloud, firewallAccess, clock, signal, azureWarnings, close };
}

/** Runs a command's work within a session, and gives back what it borrowed on every way out. */
export async function withSession<T>(io: Io, options: GlobalOptions, project: Project, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await openSession(io, options, project);
  const isClosed = io.atLast(session.close);
  let result: T;
  try {
    result = await work(session);
  } catch (error) {
    // What went wrong first is what the person is told; what could not be given back stands beside it.
    await session.close().catch((unclosed: unknown) => void showError(unclosed, { ...io, isJson: false }));
    isClosed();
    throw error;
  }
  await session.close();
  isClosed();
  return result;
}

/** As `withSession`, for a command that changes the project: while another one of this user does, it waits. */
export async function withChangingSession<T>(
  io: Io,
  options: GlobalOptions,
  project: Project,
  command: string,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let hasBegun = false;
  const locked = (session: Session): Promise<T> =>
    withRunLock(io, { project: nameOf(session.cloud, project), command, clock: session.clock }, () => {
      hasBegun = true;
      return work(session);
    });
  try {
    return await withSession(io, options, project, locked);
  } catch (error) {
    throw !hasBegun && isStop(error, io.signal) ? nothingChanged(io.signal) : error;
  }
}
