// A string of the terminal ends at its end, at the next escape or with the text: looking for more would take quadratic time.
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are what is looked for
const SEQUENCES =
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)|\x1b[ -/]*[0-~]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: end

/**
 * Text of an app as it may be written to a terminal: without escape sequences, control characters (line breaks and tabs stay) and the
 * marks that reverse the direction of writing, which could hide or fake what stands there.
 */
export function terminalText(text: string): string {
  return text.replace(SEQUENCES, "").replace(CONTROLS, "");
}
