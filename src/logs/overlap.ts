/** Remembers what was shown, so that the tail which a new connection repeats is shown once. */
export interface Overlap {
  /** A live line that is shown now. */
  shown(line: string): void;
  /** The tails of a connection are over: a file that is new from here on began, or got its name, while nobody listened. */
  begun(): void;
  /** The lines of a repeated tail that were not shown yet, in order. */
  unseen(
    path: string,
    tail: readonly string[],
  ): Unseen & {
    /** The same from the end of the file itself; `undefined` when the tail is not in it, so that nothing can be said. */
    readonly within: (file: LogFileEnd) => Unseen | undefined;
  };
}

interface Unseen {
  readonly lines: readonly string[];
  /** False when lines may be missing before these: the file went on for longer than its tail (or what was read of it) is. */
  readonly isComplete: boolean;
}

/** The last lines of a log file. */
export interface LogFileEnd {
  readonly lines: readonly string[];
  /** They are all lines of the file. */
  readonly isWhole: boolean;
}

const REMEMBERED = 8192;
const COMPARED_CHARACTERS = 4096;
/** Kudu repeats so many lines of each file. */
const TAIL_LINES = 10;

/**
 * Live lines do not say which file they come from, and the tail has lost every letter outside ASCII. So per file the longest common
 * subsequence is sought between the tail and what was shown since the file's former tail; what has no partner is new.
 * Lines of the docker logs carry stamps down to nanoseconds, which makes this exact for them; among more than ten equal lines
 * without stamps it can only guess.
 */
export function createOverlap(): Overlap {
  const live: string[] = [];
  /** Number of live lines that were forgotten, and the latest stamp among them. */
  let forgotten = 0;
  let forgottenUntil = "";
  const tails = new Map<string, { readonly lines: readonly string[]; readonly mark: number }>();
  /** The tails of the former connection, all files in one; `undefined` during the first. */
  let earlier: readonly string[] | undefined;
  /** The newest stamp of the first tails: older lines of files that turn up later are history. */
  let begunAt = "";

  const forget = (): void => {
    for (const line of live.splice(0, REMEMBERED)) {
      const stamp = stampOf(line);
      if (stamp > forgottenUntil) forgottenUntil = stamp;
    }
    forgotten += REMEMBERED;
  };
  const isOld = (line: string): boolean => stampOf(line) !== "" && stampOf(line) < forgottenUntil;

  return {
    shown: (line) => {
      live.push(comparable(line));
      if (live.length >= 2 * REMEMBERED) forget();
    },
    begun: () => {
      earlier = [...tails.values()].flatMap(({ lines }) => lines);
    },
    unseen: (path, tail) => {
      const former = tails.get(path);
      const compared = tail.map(comparable);
      const since = live.slice(Math.max(0, (former?.mark ?? 0) - forgotten));
      const shown = [...(former?.lines ?? earlier ?? []), ...since];
      const partners = common(compared, shown);
      tails.set(path, { lines: compared, mark: forgotten + live.length });
      if (!earlier) begunAt = compared.map(stampOf).reduce((one, other) => (one > other ? one : other), begunAt);
      const lines = tail.filter((_, index) => !partners.has(index) && !isOld(compared[index] ?? ""));
      const isExpected = former !== undefined || earlier !== undefined;
      return {
        lines,
        isComplete: !isExpected || lines.length < Math.max(TAIL_LINES, tail.length),
        within: (file) => {
          const history = former ? { tail: former.lines } : { until: begunAt };
          return unseenWithin(file, compared, { lines: shown, isOld, ...history });
        },
      };
    },
  };
}

/** What was shown of a file: its former tail stands in it as a block; a file without one is new, apart from what is older than `until`. */
interface Shown {
  readonly lines: readonly string[];
  readonly isOld: (line: string) => boolean;
  readonly tail?: readonly string[];
  readonly until?: string;
}

/**
 * What follows the last shown line, up to the end of the tail (the rest of the file comes live). The lines of one file are shown in its
 * order and without holes; a line that stands in it more often than it was shown counts as often as it was.
 */
function unseenWithin({ lines, isWhole }: LogFileEnd, tail: readonly string[], shown: Shown): Unseen | undefined {
  const compared = lines.map(comparable);
  const tailAt = lastBlock(compared, tail);
  if (tailAt === undefined) return undefined;
  const end = tailAt + tail.length;
  const times = new Map<string, number>();
  for (const line of shown.lines) times.set(line, (times.get(line) ?? 0) + 1);
  const former = shown.tail ?? [];
  const isBeginning = isWhole && former.length < TAIL_LINES && former.every((line, index) => compared[index] === line);
  let last: number | undefined;
  for (let index = isBeginning ? 0 : (firstBlock(compared, former) ?? 0); index < end; index += 1) {
    const line = compared[index] ?? "";
    const left = times.get(line) ?? 0;
    if (left > 0) times.set(line, left - 1);
    if (left > 0 || shown.isOld(line) || (stampOf(line) !== "" && stampOf(line) < (shown.until ?? ""))) last = index;
  }
  return { lines: lines.slice((last ?? -1) + 1, end), isComplete: isWhole || last !== undefined };
}

const isBlock = (lines: readonly string[], at: number, block: readonly string[]): boolean =>
  block.every((line, index) => lines[at + index] === line);

function firstBlock(lines: readonly string[], block: readonly string[]): number | undefined {
  for (let at = 0; at + block.length <= lines.length; at += 1) if (isBlock(lines, at, block)) return at;
  return undefined;
}

function lastBlock(lines: readonly string[], block: readonly string[]): number | undefined {
  for (let at = lines.length - block.length; at >= 0; at -= 1) if (isBlock(lines, at, block)) return at;
  return undefined;
}

/** Kudu reads tails as ASCII, a `?` for each byte of another letter; a live line is brought to the same form. */
function comparable(line: string): string {
  return line.slice(0, COMPARED_CHARACTERS).replace(/[^\t\x20-\x3e\x40-\x7e]+/g, "?");
}

function stampOf(line: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}/.exec(line)?.[0] ?? "";
}

/** Indices in `left` of a longest common subsequence with `right`. */
function common(left: readonly string[], right: readonly string[]): ReadonlySet<number> {
  const wanted = new Set(left);
  const candidates = right.filter((line) => wanted.has(line));
  const width = candidates.length + 1;
  // lengths[i * width + j]: the longest for left from i on and candidates from j on.
  const lengths = new Uint32Array((left.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = candidates.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = left[i] === candidates[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found = new Set<number>();
  for (let i = 0, j = 0; i < left.length && j < candidates.length; ) {
    if (left[i] === candidates[j]) {
      found.add(i);
      i += 1;
      j += 1;
    } else if (at(i + 1, j) > at(i, j + 1)) i += 1;
    else j += 1;
  }
  return found;
}
