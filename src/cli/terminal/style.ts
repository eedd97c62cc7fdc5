import { redact } from "../../base/secrets.ts";
import { terminalText } from "../../logs/terminal-text.ts";

/** Colours for people; plain text where colours are off. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export function paint(isOn: boolean): Paint {
  const wrap =
    (open: number, close: number) =>
    (text: string): string =>
      isOn ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), red: wrap(31, 39), green: wrap(32, 39), yellow: wrap(33, 39), cyan: wrap(36, 39) };
}

/** What `paint` writes, and nothing else that begins with an escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const COLOURS = /(\u001b\[(?:1|2|22|3[12369]|39)m)/;

/** Whole lines as they go to a terminal: our own colours stay, where there are any; nothing else in them can steer it. */
export function safeWords(text: string, hasColor: boolean): string {
  if (!hasColor) return terminalText(text);
  return text
    .split(COLOURS)
    .map((part, index) => (index % 2 === 1 ? part : terminalText(part)))
    .join("");
}

/** `950 ms`, `12.3 s`, `4 min 05 s` */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${String(Math.floor((ms % 60_000) / 1000)).padStart(2, "0")} s`;
}

/** Text from outside (server messages, names) for a terminal: no secrets, no control characters, no marks that turn its direction, bounded. */
export function safeText(text: string, limit = 2000): string {
  const plain = terminalText(redact(text.slice(0, limit * 4)));
  return plain.length > limit ? `${plain.slice(0, limit)}…` : plain;
}
