/** A point on the way of one call: a request, or a login or statement at a flexible server. For tests that interrupt a client there. */
export interface TrafficPoint {
  /** `arrived`: nothing was done yet. `done`: the work is done and kept, the answer not sent. */
  readonly phase: "arrived" | "done";
  /** Journal name of the host, or `postgres:NAME`. */
  readonly host: string;
  /** The HTTP method, `LOGIN`, or `SQL`. */
  readonly method: string;
  /** The path without query; of a login `/DATABASE/USER`. Never a statement's text. */
  readonly path: string;
}

/** Called at each point, which waits for it. `drop` ends the connection there. */
export type OnTraffic = (point: TrafficPoint) => Promise<"drop" | undefined>;
