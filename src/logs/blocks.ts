/** `block` stands in the lines at this place. */
function isBlock(lines: readonly string[], at: number, block: readonly string[]): boolean {
  return at >= 0 && at + block.length <= lines.length && block.every((line, index) => lines[at + index] === line);
}

/** Where the block stands first, within the first `end` lines. */
export function blockAt(lines: readonly string[], block: readonly string[], end = lines.length): number | undefined {
  for (let at = 0; at + block.length <= end; at += 1) if (isBlock(lines, at, block)) return at;
  return undefined;
}

/** Where the block stands last. */
export function lastBlockAt(lines: readonly string[], block: readonly string[]): number | undefined {
  for (let at = lines.length - block.length; at >= 0; at -= 1) if (isBlock(lines, at, block)) return at;
  return undefined;
}

export function isEqual(lines: readonly string[], others: readonly string[] | undefined): boolean {
  return lines.length === others?.length && isBlock(others, 0, lines);
}

export function countOf(lines: readonly string[], wanted: string): number {
  return lines.reduce((count, line) => (line === wanted ? count + 1 : count), 0);
}
