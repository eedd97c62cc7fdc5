import { createHash } from "node:crypto";
import { blockAt, isEqual, lastBlockAt } from "./blocks.ts";
import { createRepeats } from "./repeats.ts";
import { createShownLines, type ShownLines } from "./shown-lines.ts";

/** The last lines of one log file, as Kudu repeats them at the beginning of a connection. */
export interface FileTail {
  readonly path: string;
  /** Letters outside ASCII have become `?`. */
  readonly lines: readonly string[];
  /** They are all lines of the file: Kudu had fewer than it repeats. */
  readonly isWhole: boolean;
}

/** The last lines of a log file, read from the file itself. */
export interface LogFileEnd {
  readonly lines: readonly string[];
  /** They are all lines of the file. */
  readonly isWhole: boolean;
}

/** The lines of one file that are to be shown now, in order. */
interface Unseen {
  readonly path: string;
  readonly lines: readonly string[];
  /** False when lines may be missing before these. */
  readonly isComplete: boolean;
}

/** Remembers what was shown, so that each line of each file is shown once over all connections. */
export interface Overlap {
  /** A live line: `new` ones count as shown now. For a path, `judge` tells once that file is read: the line is in its tail, or equals one there. */
  live(line: string): "new" | "repeat" | { readonly path: string };
  judge(line: string, path: string, file: LogFileEnd | undefined): "new" | "repeat";
  /** The files that must be read: their tails alone do not say what was shown of them. */
  wanted(tails: readonly FileTail[]): readonly string[];
  /** A connection began; what its files hold was settled, or there are none. */
  begun(): void;
  /** What is new in the files of a connection's beginning; `files` holds those that could be read. */
  settle(tails: readonly FileTail[], files: ReadonlyMap<string, LogFileEnd>): readonly Unseen[];
}

/** How far a file was shown when a connection began. */
interface Known {
  /** The lines before that place, as compared. */
  readonly tail: readonly string[];
  /** All lines before it, when the whole file is known: their number and digest. */
  readonly all: { readonly count: number; readonly digest: string } | undefined;
  /** The live lines from here on may be of what follows. */
  readonly mark: number;
}

/** A file with what is known of it now. */
interface Listed {
  readonly tail: FileTail;
  readonly compared: readonly string[];
  /** The file, and where its tail ends in it. `undefined`: there is only the tail. */
  readonly file:
    | { readonly lines: readonly string[]; readonly compared: readonly string[]; readonly end: number; readonly isWhole: boolean }
    | undefined;
}

/** From where on a file is new. `isHole`: what was shown last lies before what was read of the file. */
interface Start {
  readonly at: number;
  readonly mark: number;
  readonly isHole: boolean;
}

const COMPARED_CHARACTERS = 4096;

/**
 * Kudu's live lines do not say which file they come from, and a tail says only that its lines are the file's last: a line in it that equals
 * a shown one (stamp and text) may be that one or its twin. So the file is the truth: the place up to which it was known when a connection
 * began is looked for in it, and of the lines after that place each equal live line takes off one, whichever file it came from: equal lines
 * are interchangeable. The tail alone is enough when it is the whole file, or still the same with stamps that grow.
 * Where a file cannot be read, the tail is compared with what was shown; unless its stamps prove the place, lines may be missing, and that is said.
 */
export function createOverlap(): Overlap {
  const live = createShownLines(stampOf);
  const repeats = createRepeats((line) => stampOf(line) !== "");
  const known = new Map<string, Known>();
  let isFirst = true;
  /** Where the live lines of the former connection began. */
  let formerMark = 0;
  /** The newest stamp of the first tails: older lines of another folder that turns up later are history. */
  let begunAt = "";
  const folders = new Set<string>();

  const isUnchanged = ({ path, lines }: FileTail): boolean => {
    const compared = lines.map(comparable);
    return isGrowing(compared) && isEqual(compared, known.get(path)?.tail);
  };
  const first = ({ tail, compared, file }: Listed): Unseen => {
    folders.add(folderOf(tail.path));
    begunAt = newest([begunAt, ...compared.map(stampOf)]);
    known.set(tail.path, anchor(compared, file, live.mark));
    repeats.begin(tail.path, compared);
    return { path: tail.path, lines: tail.lines, isComplete: true };
  };
  /** By the name, else by what was shown of a file that bears another name now. */
  const startOf = (listed: Listed, moved: Map<string, Known>): Start | undefined => {
    const own = known.get(listed.tail.path);
    const start = own && startIn(listed, own);
    if (start) return start;
    for (const [path, former] of moved) {
      const isLikely = path !== listed.tail.path && (former.tail.some(stampOf) || stemOf(path) === stemOf(listed.tail.path));
      const found = isLikely ? startIn(listed, former) : undefined;
      if (!found || found.isHole) continue;
      moved.delete(path);
      known.delete(path);
      return found;
    }
    return undefined;
  };
  /** A file without a former place began while nobody listened, apart from one whose whole folder did not exist for us. */
  const beginOf = (listed: Listed): Start => {
    const lines = listed.file?.compared ?? listed.compared;
    const isHistory = (line: string): boolean => stampOf(line) !== "" && stampOf(line) < begunAt;
    const at = folders.has(folderOf(listed.tail.path)) ? 0 : lines.findLastIndex(isHistory) + 1;
    return { at, mark: formerMark, isHole: at === 0 && !(listed.file?.isWhole ?? listed.tail.isWhole) };
  };
  const next = (listed: Listed, start: Start | undefined): Unseen => {
    const { tail, compared, file } = listed;
    const former = known.get(tail.path);
    const begin = start ?? (file || !former ? beginOf(listed) : { at: 0, mark: former.mark, isHole: true });
    known.set(tail.path, anchor(compared, file, live.mark));
    repeats.begin(tail.path, file ? file.compared.slice(Math.min(begin.at, file.end - compared.length), file.end) : compared);
    if (!file) return { path: tail.path, ...fromTail(listed, former, begin, live) };
    const seen = live.takeOff(file.compared.slice(begin.at, file.end), begin.mark);
    const lines = file.lines.slice(begin.at, file.end).filter((_, index) => !seen.has(index));
    return { path: tail.path, lines, isComplete: !begin.isHole || seen.size > 0 };
  };

  return {
    live: (line) => {
      const compared = comparable(line);
      const answer = repeats.ask(compared);
      if (answer === "no") live.add(compared);
      return answer === "no" ? "new" : answer === "yes" ? "repeat" : answer;
    },
    judge: (line, path, file) => {
      const compared = comparable(line);
      if (repeats.judge(compared, path, file?.lines.map(comparable))) return "repeat";
      live.add(compared);
      return "new";
    },
    begun: () => {
      isFirst = false;
      formerMark = live.mark;
    },
    wanted: (tails) =>
      tails.filter((tail) => !tail.isWhole && (isFirst ? !isGrowing(tail.lines) : !isUnchanged(tail))).map(({ path }) => path),
    settle: (tails, files) => {
      const listed = tails.map((tail) => listedOf(tail, files.get(tail.path)));
      repeats.clear();
      const isAgain = !isFirst;
      isFirst = false;
      if (!isAgain) return listed.map(first);
      const changed = listed.filter(({ tail, file }) => file || !isUnchanged(tail));
      // Places that no file of their own name has: it was renamed, and what bears the name now is another.
      const moved = new Map(
        [...known].filter(([path, former]) => {
          const own = listed.find(({ tail }) => tail.path === path);
          return !own || (changed.includes(own) && own.file && !startIn(own, former));
        }),
      );
      const starts = changed.map((one) => [one, startOf(one, moved)] as const);
      const unseen = starts.map(([one, start]) => next(one, start));
      for (const { tail } of listed) folders.add(folderOf(tail.path));
      return unseen;
    },
  };
}

function listedOf(tail: FileTail, read: LogFileEnd | undefined): Listed {
  const compared = tail.lines.map(comparable);
  if (tail.isWhole) return { tail, compared, file: { lines: tail.lines, compared, end: compared.length, isWhole: true } };
  const lines = read?.lines.map(comparable) ?? [];
  const at = read && lastBlockAt(lines, compared);
  return { tail, compared, file: read && at !== undefined ? { ...read, compared: lines, end: at + compared.length } : undefined };
}

function anchor(tail: readonly string[], file: Listed["file"], mark: number): Known {
  return { tail, all: file?.isWhole ? { count: file.end, digest: digestOf(file.compared, file.end) } : undefined, mark };
}

/** Where the place of `former` is in the file; `undefined` when this is not the file that it was known from. */
function startIn({ file }: Listed, { tail, all, mark }: Known): Start | undefined {
  if (!file) return undefined;
  const { compared } = file;
  if (all && file.isWhole) {
    const isSame = all.count <= file.end && digestOf(compared, all.count) === all.digest;
    return isSame ? { at: all.count, mark, isHole: false } : undefined;
  }
  const at = blockAt(compared, tail, file.end);
  if (at !== undefined) return { at: at + tail.length, mark, isHole: false };
  return file.isWhole ? undefined : { at: 0, mark, isHole: true };
}

/** The lines of a tail that were not shown yet, as far as that can be told without the file. */
function fromTail({ tail, compared }: Listed, known: Known | undefined, begin: Start, live: ShownLines): Omit<Unseen, "path"> {
  const former = known?.tail ?? [];
  const since = live.since(begin.mark);
  const partners = common(compared, [...former, ...since.map(([, line]) => line)]);
  live.forget([...partners.values()].flatMap((at) => since[at - former.length]?.[0] ?? []));
  const isNew = (index: number): boolean => index >= begin.at && !partners.has(index) && !live.isOld(compared[index] ?? "");
  const stamps = [...partners.keys()].map((index) => stampOf(compared[index] ?? "")).filter(Boolean);
  const isPlaced = partners.has(0) && newest(stamps) > (stamps[0] ?? "");
  return { lines: tail.lines.filter((_, index) => isNew(index)), isComplete: isPlaced || isEqual(compared, former) || !begin.isHole };
}

function digestOf(lines: readonly string[], count: number): string {
  return createHash("sha256").update(lines.slice(0, count).join("\n")).digest("base64");
}

/** Every line is stamped, and later ones later: such a tail stands in its file once. */
function isGrowing(lines: readonly string[]): boolean {
  const stamps = lines.map(stampOf);
  return (
    !stamps.includes("") && stamps.every((stamp, index) => stamp >= (stamps[index - 1] ?? "")) && (stamps[0] ?? "") < (stamps.at(-1) ?? "")
  );
}

function newest(stamps: readonly string[]): string {
  return stamps.reduce((one, other) => (one > other ? one : other), "");
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** The name up to its first dot: what a file keeps when it is renamed to make room. */
function stemOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).split(".", 1)[0] ?? "";
}

/** Kudu reads tails as ASCII, a `?` for each byte of another letter; every line is brought to the same form. */
function comparable(line: string): string {
  return line.replace(/[^\t\x20-\x3e\x40-\x7e]+/g, "?").slice(0, COMPARED_CHARACTERS);
}

/** The stamp of a docker log; stamps compare as their texts do. */
function stampOf(line: string): string {
  return /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)Z/.exec(line)?.[1] ?? "";
}

/** A longest common subsequence: indices in `left` with their partners' in `right`. */
function common(left: readonly string[], right: readonly string[]): ReadonlyMap<number, number> {
  const wanted = new Set(left);
  const candidates = [...right.entries()].filter(([, line]) => wanted.has(line));
  const width = candidates.length + 1;
  // lengths[i * width + j]: the longest for left from i on and candidates from j on.
  const lengths = new Uint32Array((left.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = candidates.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = left[i] === candidates[j]?.[1] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found = new Map<number, number>();
  for (let i = 0, j = 0; i < left.length && j < candidates.length; ) {
    const [index, line] = candidates[j] ?? [0, ""];
    if (left[i] === line) {
      found.set(i, index);
      i += 1;
      j += 1;
    } else if (at(i + 1, j) > at(i, j + 1)) i += 1;
    else j += 1;
  }
  return found;
}
