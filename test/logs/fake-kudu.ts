/** Log files and Kudu's stream over them, framed as the public source frames it. */
export interface FakeKudu {
  /** Appends a line to a file; open connections get it. */
  append(path: string, line: string): void;
  rename(path: string, to: string): void;
  /** What a new connection begins with: welcome, the last ten lines of each file in ASCII, start of the live part. */
  greeting(): string;
}

const LINES = 10;

export function createFakeKudu(): FakeKudu & { readonly files: ReadonlyMap<string, readonly string[]> } {
  const files = new Map<string, string[]>();
  return {
    files,
    append: (path, line) => {
      files.set(path, [...(files.get(path) ?? []), line]);
    },
    rename: (path, to) => {
      files.set(to, files.get(path) ?? []);
      files.delete(path);
    },
    greeting: () =>
      [
        "2026-02-07T09:00:00  Welcome, you are now connected to log-streaming service.\n",
        "\nStarting Log Tail -n 10 of existing logs ----\n\n",
        ...[...files].map(([path, lines]) => {
          const tail = lines.slice(-LINES).map(
            (line) =>
              `${Buffer.from(line)
                .toString("latin1")
                .replace(/[\x80-\xff]/g, "?")}\n`,
          );
          const url = path.startsWith("/home/") ? ` (https://localhost:1/api/vfs${path.slice("/home".length)})` : "";
          return `${path} ${url}\n${tail.join("")}\n`;
        }),
        "\nEnding Log Tail of existing logs ---\n",
        "\nStarting Live Log Stream ---\n",
      ].join(""),
  };
}
