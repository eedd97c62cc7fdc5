import { createRecordAssembler } from "./assemble-records.ts";

/** The console of App Service begins with it at each start of a container (lab recordings). */
const START_BANNER = /A P P {3}S E R V I C E {3}O N {3}L I N U X/;
const NPM = /^npm (?:ERR|error)\b/i;
/** How many of the last lines go along with errors: what the app said of its end may look like no error. */
const LAST_LINES = 5;
/** What is left of a traceback that is too long: its beginning, and its end with the exception. */
const HEAD_LINES = 4;

/**
 * The lines of an app's log file that say why its last start failed, without their stamps: errors with their tracebacks, each once, and
 * the last lines; without any error the last lines alone. At most `limit` lines.
 */
export function excerptErrors(lines: readonly string[], limit: number): readonly string[] {
  const assembler = createRecordAssembler("", () => 0);
  const start = lines.findLastIndex((line) => START_BANNER.test(line)) + 1;
  const records = [...lines.slice(start).flatMap((line) => assembler.push(line, { path: "app" })), ...assembler.flush()].map(
    ({ level, message }, index) => ({ index, lines: message.split("\n").map((line) => line.trimEnd()), message, level }),
  );
  const all = records.flatMap((record) => record.lines);
  const errors = records.filter(({ level }) => level === "error" || level === "critical");
  const own = errors.filter(({ message }) => !NPM.test(message));
  // A crash loop says the same each time: its last words.
  const unique = [...new Map((own.length > 0 ? own : errors).map((record) => [record.message, record])).values()];
  if (unique.length === 0 || all.length <= limit) return all.slice(-limit);
  const chosen = new Map<number, readonly string[]>();
  const told = new Set<string>();
  let left = limit;
  const choose = ({ index, lines: wanted, message }: (typeof records)[number], room = left): void => {
    if (left === 0 || told.has(message)) return;
    const taken = shorten(wanted, Math.min(left, room));
    told.add(message);
    chosen.set(index, taken);
    left -= taken.length;
  };
  // Those with a traceback before the others, the newest first.
  const isTraceback = (record: (typeof records)[number]): number => Number(record.lines.length > 1);
  for (const record of unique.sort((one, other) => isTraceback(other) - isTraceback(one) || other.index - one.index)) choose(record);
  for (const record of records.slice(-LAST_LINES).reverse()) choose(record, LAST_LINES);
  return [...chosen].sort(([one], [other]) => one - other).flatMap(([, taken]) => taken);
}

/** At most `room` lines, the middle left out. */
function shorten(lines: readonly string[], room: number): readonly string[] {
  if (lines.length <= room) return lines;
  if (room <= HEAD_LINES + 2) return lines.slice(-room);
  return [...lines.slice(0, HEAD_LINES), "  …", ...lines.slice(HEAD_LINES + 1 - room)];
}
