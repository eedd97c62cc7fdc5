/** Structured logs: one JSON object a line on stdout. A stack goes into the field `exception`, so that a record stays one line. */
export function log(level, message, fields = {}, error = undefined) {
  const entry = { time: new Date().toISOString(), level, message, ...fields };
  if (error) entry.exception = error.stack ?? String(error);
  process.stdout.write(`${JSON.stringify(entry)}\n`);
}
