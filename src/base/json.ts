/** Is a value of JSON nested in more than `levels` objects and lists? JSON.parse reads any depth, JSON.stringify and most readers do not. */
export function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeperThan(member, levels - 1));
}

/** JSON text with every sign escaped that a terminal would obey or that turns the direction of writing; it reads back as the same value. */
export function escapeControls(json: string): string {
  return json.replace(/[\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (sign) => {
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
