/**
 * What PostgreSQL keeps of `max_connections` from ordinary logins on a flexible server, for replication and monitoring
 * (Microsoft Learn, "Limits in Azure Database for PostgreSQL flexible server": usable = max - 15).
 */
const reservedConnections = 15;

/** Connections of one process in this tool's templates where the app setting `DB_POOL_SIZE` says nothing else. */
const usualPoolSize = 5;

/** What opens connections: an app with its settings (`DB_POOL_SIZE`, `WEB_CONCURRENCY`) on so many instances of its plan. */
export interface ConnectionUser {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly instances: number;
}

export interface ConnectionBudget {
  /** What all of them may open at most: pool × processes × instances, summed. */
  readonly needed: number;
  /** What the server has for them. */
  readonly usable: number;
  readonly isEnough: boolean;
  /** `shop-api 5 × 1 processes × 1 instances` for each. */
  readonly parts: readonly string[];
}

/** Whether a server with this `max_connections` has enough connections for these apps under load. Pure. */
export function connectionBudget(users: readonly ConnectionUser[], maxConnections: number): ConnectionBudget {
  const shares = users.map(({ name, settings, instances }) => {
    const pool = positive(settings.DB_POOL_SIZE) ?? usualPoolSize;
    const processes = positive(settings.WEB_CONCURRENCY) ?? 1;
    const running = Math.max(1, instances);
    return {
      connections: pool * processes * running,
      words: `${name} ${pool} × ${processes} processes × ${running} instances`,
    };
  });
  const needed = shares.reduce((sum, { connections }) => sum + connections, 0);
  const usable = maxConnections - reservedConnections;
  return { needed, usable, isEnough: needed <= usable, parts: shares.map(({ words }) => words) };
}

/** A whole number above zero, or nothing. */
function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 ? value : undefined;
}
