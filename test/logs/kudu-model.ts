/** The log files of a site as bytes, and Kudu's stream over them as its public source writes it, one connection at a time. */
export interface KuduModel {
  /** Appends to a file, which may be new. */
  write(path: string, text: string): void;
  rename(path: string, to: string): void;
  remove(path: string): void;
  /** Paths in the order in which Kudu lists them. */
  paths(): readonly string[];
  /** Whole lines of the file's end, at most `lines` of them. */
  read(path: string, lines: number): { readonly bytes: Buffer; readonly isWhole: boolean };
  /** Begins a connection: sizes are taken, then `between` happens, then the tails are read. What comes live begins at the sizes. */
  greeting(between?: () => void): Buffer;
  /** What was appended since, file by file from the `first` on; empty when there is nothing. */
  live(first?: number): Buffer;
}

const TAIL_LINES = 10;

export function createKuduModel(): KuduModel {
  const files = new Map<string, Buffer>();
  /** Where the live part of the present connection stands. */
  let offsets = new Map<string, number>();
  const paths = () => [...files.keys()].sort();
  const contents = (path: string): Buffer => files.get(path) ?? Buffer.alloc(0);

  return {
    write: (path, text) => void files.set(path, Buffer.concat([contents(path), Buffer.from(text)])),
    rename: (path, to) => {
      files.set(to, contents(path));
      files.delete(path);
      // KuduLite's OnRenamed, OnDeleted: the new name is unknown until it changes.
      offsets.set(to, contents(to).length);
      offsets.delete(path);
    },
    remove: (path) => {
      files.delete(path);
      offsets.delete(path);
    },
    paths,
    read: (path, count) => {
      const found = files.get(path);
      if (!found) throw new Error(`no file ${path}`);
      const lines = found.toString("latin1").split(/(?<=\n)/);
      return { bytes: Buffer.from(lines.slice(-count).join(""), "latin1"), isWhole: lines.length <= count };
    },
    greeting: (between) => {
      offsets = new Map(paths().map((path) => [path, contents(path).length]));
      between?.();
      const tails = paths().map((path) => {
        const lines = contents(path)
          .toString("latin1")
          .replace(/[\x80-\xff]/g, "?")
          .split(/\r\n|\r|\n/);
        if (lines.at(-1) === "") lines.pop();
        const url = path.startsWith("/home/") ? ` (https://localhost:1/api/vfs${path.slice("/home".length)})` : "";
        return `\n${path} ${url}\n${lines
          .slice(-TAIL_LINES)
          .map((line) => `${line}\n`)
          .join("")}\n`;
      });
      return Buffer.from(
        [
          "2026-02-07T09:00:00  Welcome, you are now connected to log-streaming service.\n",
          "\nStarting Log Tail -n 10 of existing logs ----\n",
          ...tails,
          "\nEnding Log Tail of existing logs ---\n",
          "\nStarting Live Log Stream ---\n",
        ].join(""),
      );
    },
    live: (first = 0) => {
      const all = paths();
      const turned = all.map((_, index) => all[(index + first) % all.length] ?? "");
      return Buffer.concat(
        turned.flatMap((path) => {
          const news = contents(path).subarray(offsets.get(path) ?? 0);
          offsets.set(path, contents(path).length);
          return news.length === 0 ? [] : [Buffer.from("\n"), news];
        }),
      );
    },
  };
}
