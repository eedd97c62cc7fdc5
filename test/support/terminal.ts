import { spawn } from "node:child_process";

export const ctrlC = "\u0003";
export const ctrlD = "\u0004";

/** A program on a terminal of its own (of `script`), with someone who reads and types. */
export interface Terminal {
  /** Waits until this is shown, after what was seen before; fails when the program ends without it. */
  sees(words: RegExp): Promise<void>;
  type(keys: string): void;
  /** Everything that was written, escapes and all. */
  written(): string;
  /** What stands on the screen and above it now, line by line; lines that the terminal had to break are two. */
  screen(): readonly string[];
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

interface TerminalOptions {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly columns?: number;
}

/** Longest that one word is waited for. */
const PATIENCE_MS = 90_000;

export function openTerminal(command: readonly string[], { cwd, environment, columns = 80 }: TerminalOptions): Terminal {
  const line = `stty cols ${columns} rows 60; exec ${command.map((word) => `'${word}'`).join(" ")}`;
  const child = spawn("script", ["-qec", line, "/dev/null"], { cwd, env: { ...environment }, stdio: ["pipe", "pipe", "inherit"] });
  let all = "";
  let seen = 0;
  let look = (): void => undefined;
  child.stdin.on("error", () => undefined); // it ended while we typed
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    all += text;
    look();
  });
  const ended = new Promise<number | null>((done) => child.once("close", done));
  return {
    ended,
    written: () => all,
    screen: () => screenOf(all, columns),
    type: (keys) => void child.stdin.write(keys),
    sees: async (words) => {
      const alarm = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      const found = new Promise<true>((done) => {
        look = () => {
          const match = words.exec(all.slice(seen));
          if (!match) return;
          seen += match.index + match[0].length;
          done(true);
        };
        look();
      });
      const isFound = await Promise.race([found, ended.then(() => false)]);
      clearTimeout(alarm);
      look = () => undefined;
      if (!isFound) throw new Error(`it ended without ${words}:\n${all}`);
    },
  };
}

/** What stands on the screen after all this was written. The part of a terminal that our programs use: cursor up, down, to a column; erase in line and below; everything else changes no letter. */
export function screenOf(written: string, columns: number): string[] {
  const lines: string[][] = [[]];
  let [row, column] = [0, 0];
  const lineAt = (index: number): string[] => {
    while (lines.length <= index) lines.push([]);
    return lines[index] ?? [];
  };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  for (const [token] of written.matchAll(/\x1b\[[?0-9;]*[A-Za-z]|\x1b[^[]|[\s\S]/gu)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    const [, number = "", verb = ""] = /^\x1b\[([?0-9;]*)([A-Za-z])$/.exec(token) ?? [];
    const count = Number(number) || 1;
    if (verb === "A") row = Math.max(0, row - count);
    else if (verb === "B") row += count;
    else if (verb === "G") column = count - 1;
    else if (verb === "K" && number === "2") lineAt(row).length = 0;
    else if (verb === "K") lineAt(row).length = Math.min(lineAt(row).length, column);
    else if (verb === "J") lines.splice(row, lines.length, lineAt(row).slice(0, column));
    else if (token === "\n") row += 1;
    else if (token === "\r") column = 0;
    else if (!token.startsWith("\u001b") && token >= " ") {
      if (column >= columns) [row, column] = [row + 1, 0];
      const line = lineAt(row);
      while (line.length < column) line.push(" ");
      line[column] = token;
      column += 1;
    }
  }
  return lines.map((line) => line.join("").trimEnd());
}
