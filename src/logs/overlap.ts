/** Remembers what was shown, so that the tail which a new connection repeats is shown once. */
export interface Overlap {
  /** A live line that is shown now. */
  shown(line: string): void;
  /**
   * The lines of a repeated tail that were not shown yet, in order. `isComplete` is false when lines may be missing
   * before them: the file went on for longer than its tail is.
   */
  unseen(path: string, tail: readonly string[]): { readonly lines: readonly string[]; readonly isComplete: boolean };
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

  const forget = (): void => {
    for (const line of live.splice(0, REMEMBERED)) {
      const stamp = stampOf(line);
      if (stamp > forgottenUntil) forgottenUntil = stamp;
    }
    forgotten += REMEMBERED;
  };

  return {
    shown: (line) => {
      live.push(comparable(line));
      if (live.length >= 2 * REMEMBERED) forget();
    },
    unseen: (path, tail) => {
      const former = tails.get(path);
      const compared = tail.map(comparable);
      const since = live.slice(Math.max(0, (former?.mark ?? 0) - forgotten));
      const partners = common(compared, [...(former?.lines ?? []), ...since]);
      tails.set(path, { lines: compared, mark: forgotten + live.length });
      const isOld = (line: string): boolean => stampOf(line) !== "" && stampOf(line) < forgottenUntil;
      const lines = tail.filter((_, index) => !partners.has(index) && !isOld(compared[index] ?? ""));
      return { lines, isComplete: former === undefined || lines.length < Math.max(TAIL_LINES, tail.length) };
    },
  };
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
