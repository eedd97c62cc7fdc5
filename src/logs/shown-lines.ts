/** The live lines that were shown and not yet found in a file, in order. Places count from the first line ever shown. */
export interface ShownLines {
  add(line: string): void;
  /** The place of the next line. */
  readonly mark: number;
  /**
   * Indices of those of a file's lines that were shown at `mark` or later; each of the shown lines counts once, for whichever file asks first.
   * Of what was forgotten it is only known that a file is shown in order and without holes, and how old it was.
   */
  takeOff(lines: readonly string[], mark: number): ReadonlySet<number>;
  /** The lines from `mark` on with their places, for `forget`. */
  since(mark: number): readonly (readonly [place: number, line: string])[];
  forget(places: readonly number[]): void;
  /** The line is older than one that is forgotten. */
  isOld(line: string): boolean;
}

/** More than what is read of a log file for the lines that were missed: beyond that, exactness would be of no use. */
const REMEMBERED_CHARACTERS = 8 * 1024 * 1024;

/** `stampOf` gives a text that grows with the time, or an empty one. */
export function createShownLines(stampOf: (line: string) => string): ShownLines {
  let lines: (string | undefined)[] = [];
  let characters = 0;
  let dropped = 0;
  let droppedUntil = "";
  /** Places by line, made when a connection begins. */
  let places: Map<string, { readonly all: number[]; next: number }> | undefined;

  const drop = (): void => {
    const count = Math.ceil(lines.length / 2);
    for (const line of lines.slice(0, count)) {
      const stamp = line === undefined ? "" : stampOf(line);
      if (stamp > droppedUntil) droppedUntil = stamp;
      characters -= line?.length ?? 0;
    }
    lines = lines.slice(count);
    dropped += count;
  };
  const index = (): NonNullable<typeof places> => {
    const made: NonNullable<typeof places> = new Map();
    for (const [at, line] of lines.entries()) {
      if (line === undefined) continue;
      const found = made.get(line);
      if (found) found.all.push(dropped + at);
      else made.set(line, { all: [dropped + at], next: 0 });
    }
    return made;
  };
  const remove = (place: number): void => {
    characters -= lines[place - dropped]?.length ?? 0;
    lines[place - dropped] = undefined;
  };
  const isThere = (place: number): boolean => lines[place - dropped] !== undefined;
  const take = (line: string, mark: number): boolean => {
    places ??= index();
    const found = places.get(line);
    if (!found) return false;
    while (found.next < found.all.length && !isThere(found.all[found.next] ?? 0)) found.next += 1;
    const place =
      found.all.slice(found.next, found.next + 1).find((one) => one >= mark) ?? found.all.find((one) => one >= mark && isThere(one));
    if (place === undefined) return false;
    remove(place);
    return true;
  };
  const isOld = (line: string): boolean => stampOf(line) !== "" && stampOf(line) < droppedUntil;

  return {
    add: (line) => {
      places = undefined;
      lines.push(line);
      characters += line.length;
      if (characters > REMEMBERED_CHARACTERS) drop();
    },
    get mark() {
      return dropped + lines.length;
    },
    takeOff: (wanted, mark) => {
      const seen = new Set<number>();
      for (const [at, line] of wanted.entries()) if (take(line, mark)) seen.add(at);
      if (dropped <= mark) return seen;
      const last = Math.max(...seen, wanted.findLastIndex(isOld));
      return new Set(wanted.slice(0, last + 1).keys());
    },
    since: (mark) => {
      const from = Math.max(0, mark - dropped);
      return lines.slice(from).flatMap((line, at) => (line === undefined ? [] : [[dropped + from + at, line] as const]));
    },
    forget: (gone) => {
      for (const place of gone) remove(place);
    },
    isOld,
  };
}
