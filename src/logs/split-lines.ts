/** Longest line that is kept, in bytes. What comes after is cut off and said so. */
const MAX_LINE_BYTES = 64 * 1024;
const CUT = " … [line cut at 64 KB]";

/** Makes lines of chunks, whatever the chunks' borders cut through; holds at most one line. */
export interface LineSplitter {
  /** The lines that are complete now, without their line break (`\n`, `\r\n`; a lone `\r` parts lines too, as Kudu's tails have it). */
  push(chunk: Uint8Array): readonly string[];
}

/** UTF-8 in, whole lines out. Bytes that are no UTF-8 become U+FFFD. */
export function createLineSplitter(): LineSplitter {
  let held: Buffer[] = [];
  let heldBytes = 0;
  const take = (piece: Buffer, lines: string[]): void => {
    const line = heldBytes === 0 ? piece : Buffer.concat([...held, piece]);
    held = [];
    heldBytes = 0;
    const text = decode(line);
    if (text.includes("\r")) lines.push(...text.split("\r"));
    else lines.push(text);
  };
  const hold = (piece: Buffer): void => {
    // One byte more than the limit, to know that there was more.
    const rest = piece.subarray(0, Math.max(0, MAX_LINE_BYTES + 1 - heldBytes));
    if (rest.length === 0) return;
    // A copy: the chunk's memory belongs to whoever read it, and may be much larger.
    held.push(Buffer.from(rest));
    heldBytes += rest.length;
  };
  return {
    push: (chunk) => {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const lines: string[] = [];
      let start = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
        take(bytes.subarray(start, end), lines);
        start = end + 1;
      }
      if (start < bytes.length) hold(bytes.subarray(start));
      return lines;
    },
  };
}

function decode(line: Buffer): string {
  if (line.length > MAX_LINE_BYTES) return cutAtCharacter(line).toString("utf8") + CUT;
  return line.at(-1) === 13 ? line.toString("utf8", 0, line.length - 1) : line.toString("utf8");
}

/** At most three bytes shorter, so that no character is halved. */
function cutAtCharacter(line: Buffer): Buffer {
  let end = MAX_LINE_BYTES;
  while (end > MAX_LINE_BYTES - 3 && ((line[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return line.subarray(0, end);
}
