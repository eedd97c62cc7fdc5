import { blockAt, countOf } from "./blocks.ts";

/**
 * What Kudu says twice in one connection. It notes where its files end, begins to follow them, and only then reads the tails: lines that
 * are written in between stand in the tail and come live again (KuduLite `LogStreamManager.Initialize` and `ProcessRequest` @ 0099a93ecd).
 */
export interface Repeats {
  /** A connection begins: the last lines of a file that are shown already, all that a live line could repeat. */
  begin(path: string, lines: readonly string[]): void;
  /** `no`; `yes`; else the file that tells: the line is one of its last, or their twin. */
  ask(line: string): "no" | "yes" | { readonly path: string };
  /**
   * Answers with the lines of the file; without them the line counts as new, so that nothing is lost. Another file's twin with the same
   * stamp counts as said twice, until the next connection counts its file.
   */
  judge(line: string, path: string, file: readonly string[] | undefined): boolean;
  clear(): void;
}

/** More lines between note and tail are not looked for. */
const MOST_LINES = 2_000;

/**
 * `isOwn`: the line can only be of one file, as one with a stamp. Others may be anybody's: they count as new, and one that Kudu says twice is
 * shown twice, rather than one lost.
 */
export function createRepeats(isOwn: (line: string) => boolean): Repeats {
  const files = new Map<string, { readonly lines: readonly string[]; expected: readonly string[] }>();
  /** Which file a line may be of. */
  const paths = new Map<string, string>();
  /** The file whose repeat goes on. */
  let following: string | undefined;
  const forget = (path: string): void => {
    for (const line of files.get(path)?.lines ?? []) if (paths.get(line) === path) paths.delete(line);
    files.delete(path);
  };
  return {
    begin: (path, all) => {
      const lines = all.slice(-MOST_LINES);
      files.set(path, { lines, expected: [] });
      for (const line of lines) if (isOwn(line)) paths.set(line, path);
    },
    ask: (line) => {
      // The rest of a repeat may hold lines that are nobody's own, as the parts of a progress bar.
      const isNext = following !== undefined && files.get(following)?.expected[0] === line;
      const path = isNext ? following : paths.get(line);
      const file = path === undefined ? undefined : files.get(path);
      if (path === undefined || !file) return "no";
      // The very last line alone is as likely its twin of the same write, which must not wait for a read: rather twice than lost.
      if (!isNext) return file.lines.at(-1) === line ? "no" : { path };
      file.expected = file.expected.slice(1);
      return "yes";
    },
    judge: (line, path, file) => {
      const shown = files.get(path)?.lines ?? [];
      const at = file && blockAt(file, shown);
      // The file has it more often than it was shown: this is another one, and what comes from here on is new.
      const isNew = !file || at === undefined || countOf(file.slice(at), line) > countOf(shown, line);
      const expected = shown.slice(shown.indexOf(line) + 1).filter((one) => one !== "");
      following = path;
      if (isNew) forget(path);
      else files.set(path, { lines: shown, expected });
      return !isNew;
    },
    clear: () => {
      files.clear();
      paths.clear();
    },
  };
}
