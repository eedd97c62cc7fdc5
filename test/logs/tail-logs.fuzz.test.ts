import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FILES, type File, follow, type Story, story, type Write } from "./tail-story.ts";

const counted = (lines: readonly string[]): string[] => [...lines].sort();

async function isOnce(told: Story): Promise<void> {
  const { shown, expected, gaps } = await follow(told);
  expect(counted(shown)).toEqual(counted(expected));
  expect(gaps).toEqual([]);
  // Of files that hold the same, nobody can tell which one was renamed.
  const isRenamed = told.connections.some(({ away }) => away.some(({ kind }) => kind === "rotate"));
  if (!told.isTagged || isRenamed) return;
  for (const file of FILES) {
    const of = (lines: readonly string[]) => lines.filter((line) => line.split(" ")[1] === file);
    expect(of(shown), file).toEqual(of(expected));
  }
}

/** Stories told in `npm test`, of a new seed each time; PPG_FUZZ_RUNS=50000 tells as many. */
const STORIES = Number(process.env.PPG_FUZZ_RUNS) || 150;

const quiet = { raced: [], live: [], turn: 0, delivered: 1, away: [], meanwhile: undefined };
const of = (file: File, texts: readonly string[], step = 1): Write => ({ kind: "write", file, texts, step });
const many = (text: string, times: number): string[] => Array<string>(times).fill(text);
const numbered = (from: number, count: number): string[] => Array.from({ length: count }, (_, index) => String(from + index));

/** Each was lost or doubled once. */
const pinned: readonly (readonly [what: string, told: Partial<Story>])[] = [
  [
    "a tail that begins with the twin of the last line shown",
    {
      before: [of("m1_docker", ["a", "b"])],
      connections: [{ ...quiet, away: [of("m1_docker", ["b"], 0), of("m1_docker", numbered(0, 9))] }, quiet],
    },
  ],
  [
    "a loop that says the same, cut in its middle, and says it once more",
    {
      connections: [{ ...quiet, live: [of("m1_docker", many("tick", 15))], delivered: 0.7, away: [of("m1_docker", many("tick", 15), 0)] }],
    },
  ],
  [
    "equal lines without stamps",
    { before: [of("application", many("tick", 30))], connections: [{ ...quiet, away: [of("application", many("tick", 7))] }] },
  ],
  [
    "the same ten lines again, without stamps",
    { before: [of("application", numbered(0, 10))], connections: [{ ...quiet, away: [of("application", numbered(0, 10))] }, quiet] },
  ],
  [
    "the same line of two instances in one stamp",
    {
      before: [of("m1_default_docker", numbered(0, 12)), of("m2_default_docker", numbered(0, 12))],
      connections: [
        {
          ...quiet,
          live: [of("m1_default_docker", ["tick"])],
          away: [of("m2_default_docker", ["tick"], 0), of("m1_default_docker", ["tock"])],
        },
      ],
    },
  ],
  [
    "a line longer than what is compared, with letters outside ASCII",
    { connections: [{ ...quiet, live: [of("m1_default_docker", ["long é1", ...numbered(0, 5)])] }, quiet] },
  ],
  [
    "a progress bar that returns to the line's beginning",
    { connections: [{ ...quiet, live: [of("m1_default_docker", ["10%\r20%\r30%"])] }, quiet] },
  ],
  [
    "a short file without stamps that was renamed while another of its words began",
    {
      before: [of("application", ["tick"])],
      connections: [
        { ...quiet, away: [{ kind: "rotate", file: "application" }] },
        { ...quiet, away: [of("application", ["tick"])] },
      ],
    },
  ],
  [
    "a tail of empty lines, and a word while the file is read",
    {
      connections: [
        { ...quiet, away: [of("application", many("", 10))] },
        { ...quiet, meanwhile: of("application", ["meanwhile"]) },
        quiet,
      ],
    },
  ],
  [
    "lines that Kudu says twice, as they came between its noting the files' ends and reading their tails",
    {
      before: [of("m1_docker", numbered(0, 12)), of("application", numbered(0, 4))],
      connections: [
        {
          ...quiet,
          raced: ["m1_docker", "m2_default_docker", "m1_docker"],
          live: [of("m1_docker", ["tick"])],
          away: [of("m1_docker", numbered(20, 15))],
        },
        { ...quiet, raced: ["m1_docker", "m2_default_docker"], live: [of("m1_docker", ["tick"], 0)] },
      ],
    },
  ],
  [
    "a line without a stamp that another file said before",
    {
      before: [of("application", ["20%", "tick"])],
      connections: [{ ...quiet, live: [of("m1_default_docker", ["10%\r20%"]), of("application", ["tick", "tock"])] }],
    },
  ],
  [
    "a clock that is set back while nobody listens",
    {
      before: [of("m1_docker", numbered(0, 3))],
      connections: [{ ...quiet, away: [of("m1_docker", numbered(0, 3), -3), of("m1_docker", numbered(0, 9))] }],
    },
  ],
];

describe("each line of each file once", () => {
  test("whatever is written, cut, rotated and missed", { timeout: 60_000 + 1_000 * STORIES }, async () => {
    await fc.assert(fc.asyncProperty(story, isOnce), { numRuns: STORIES });
  });

  test.for(pinned)("%s", async ([, told]) => {
    for (const chunk of [1, 7, 100_000])
      for (const isTagged of [false, true]) await isOnce({ before: [], connections: [quiet], ...told, chunk, isTagged });
  });
});
