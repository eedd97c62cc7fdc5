/** A build on Azure takes 1 to 9 minutes (recordings). */
export const buildDeadlineMs = 20 * 60_000;

/** How often is asked at most: the build's log is shown while it grows, so more often than az, which asks each 2 s without it. */
export const buildPauses = { longestMs: 5_000, part: 20 } as const;
