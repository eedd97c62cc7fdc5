import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import { apply } from "../../src/engine/apply.ts";
import { blockedOf, changesOf, type Plan, plan } from "../../src/engine/plan.ts";
import { type AnyStep, decide, defineStep, type Needs } from "../../src/engine/step.ts";

interface Thing {
  readonly value: string;
}

/** A step over a little world that keeps state and writes down what was done to it. */
function thing(
  world: Map<string, string>,
  done: string[],
  name: string,
  wanted: string,
  needs: Needs = {},
  more: Partial<AnyStep> = {},
): AnyStep {
  return defineStep<Thing, Needs>({
    name,
    needs,
    read: async () => {
      done.push(`read ${name}`);
      const value = world.get(name);
      return value === undefined ? undefined : { value };
    },
    plan: (observed) => decide(observed, { value: wanted }),
    apply: async () => {
      done.push(`apply ${name}`);
      world.set(name, wanted);
    },
    ...more,
  });
}

const run = (signal = new AbortController().signal) => ({ clock: systemClock, signal });

describe("plan", () => {
  test("what needs something absent is absent itself and is not read", async () => {
    const done: string[] = [];
    const first = thing(new Map(), done, "first", "a");
    const second = thing(new Map([["second", "b"]]), done, "second", "b", { first });
    const planned = await plan([second]);
    expect(planned.steps.map(({ step, change }) => [step.name, change.kind])).toEqual([
      ["first", "create"],
      ["second", "create"],
    ]);
    expect(done).toEqual(["read first"]);
  });

  test("names exactly the fields that differ", async () => {
    const step = thing(new Map([["one", "is"]]), [], "one", "wanted");
    const planned = await plan([step]);
    expect(planned.steps[0]?.change).toEqual({ kind: "update", differences: [{ field: "value", observed: "is", desired: "wanted" }] });
    expect(changesOf(planned)).toBe(1);
  });

  test("needs in a circle and doubled names are refused", async () => {
    const needs: Record<string, AnyStep> = {};
    const first = thing(new Map(), [], "first", "a", needs);
    needs.second = thing(new Map(), [], "second", "b", { first });
    await expect(plan([first])).rejects.toThrow("circle");
    await expect(plan([thing(new Map(), [], "same", "a"), thing(new Map(), [], "same", "b")])).rejects.toThrow(KnownError);
  });

  test("the error of a read comes out", async () => {
    const step = thing(new Map(), [], "one", "a", {}, { read: () => Promise.reject(new KnownError("azure/denied", "no")) });
    await expect(plan([step])).rejects.toMatchObject({ code: "azure/denied" });
  });
});

describe("apply", () => {
  test("creates in the order of the needs, reads back, and does nothing the second time", async () => {
    const world = new Map<string, string>();
    const done: string[] = [];
    const first = thing(world, done, "first", "a");
    const second = thing(world, done, "second", "b", { first });
    const report = await apply(await plan([second]), run());
    expect(report.steps.map(({ name, outcome }) => [name, outcome])).toEqual([
      ["first", "created"],
      ["second", "created"],
    ]);
    expect(report.of(second)?.observed).toEqual({ value: "b" });
    expect(done.filter((entry) => entry.startsWith("apply"))).toEqual(["apply first", "apply second"]);
    done.length = 0;
    const again = await apply(await plan([second]), run());
    expect(again.steps.every(({ outcome }) => outcome === "kept")).toBe(true);
    expect(done).toEqual(["read first", "read second"]);
  });

  test("a change that does not stay is a failure, and skips what needs it", async () => {
    const world = new Map<string, string>();
    const first = thing(world, [], "first", "a", {}, { apply: async () => {} });
    const second = thing(world, [], "second", "b", { first });
    const other = thing(world, [], "other", "c");
    const report = await apply(await plan([second, other]), run());
    expect(report.steps.map(({ name, outcome }) => [name, outcome])).toEqual([
      ["first", "failed"],
      ["second", "skipped"],
      ["other", "created"],
    ]);
    expect(report.steps[0]?.error).toMatchObject({ code: "step/not-converged" });
  });

  test("a changed need is read anew: an observation from before the change is not trusted", async () => {
    const world = new Map([["first", "old"]]);
    const seen: string[] = [];
    const first = thing(world, [], "first", "new");
    const second = thing(
      world,
      [],
      "second",
      "b",
      { first },
      {
        plan: (_observed, values) => {
          seen.push((values.first as Thing).value);
          return { kind: "keep" };
        },
      },
    );
    await apply(await plan([second]), run());
    expect(seen).toEqual(["old", "new"]);
  });

  // trap: appservice 3
  test("steps of one lane never write at the same time, others do", async () => {
    let inLane = 0;
    let most = 0;
    const slow = async (): Promise<void> => {
      inLane += 1;
      most = Math.max(most, inLane);
      await new Promise((resolve) => setImmediate(resolve));
      inLane -= 1;
    };
    const laned = ["a", "b", "c"].map((name) => thing(new Map(), [], name, "x", {}, { lane: "site", apply: slow }));
    await apply(await plan(laned), run());
    expect(most).toBe(1);
    most = 0;
    const free = ["a", "b", "c"].map((name) => thing(new Map(), [], name, "x", {}, { apply: slow }));
    await apply(await plan(free), run());
    expect(most).toBe(3);
  });

  test("blocked is a failure with its hint", async () => {
    const blocked = thing(
      new Map([["one", "x"]]),
      [],
      "one",
      "y",
      {},
      { plan: () => ({ kind: "blocked", reason: "cannot shrink", hint: "set 64" }) },
    );
    const report = await apply(await plan([blocked]), run());
    // The message says its step, as it may stand alone; the report's reason does not, as it stands beside it.
    expect(report.steps[0]?.error).toMatchObject({ code: "step/blocked", message: "one: cannot shrink", hint: "set 64" });
    expect(report.steps[0]?.reason).toBe("cannot shrink");
  });

  describe("a step that may not be created", () => {
    const taken = { kind: "blocked", reason: "taken", code: "azure/name-taken" } as const;
    const refused = (more: Partial<AnyStep> = {}): Partial<AnyStep> => ({ precheck: async () => taken, ...more });
    const changesIn = ({ steps }: Plan) => steps.map(({ step, change }) => `${step.name} ${change.kind}`);

    test("is blocked with all that need it, and nothing that costs is made for it", async () => {
      const place = thing(new Map(), [], "place", "a", {}, { isBillable: true });
      const free = thing(new Map(), [], "free", "a");
      const second = thing(new Map(), [], "second", "b", { place, free }, refused());
      const third = thing(new Map(), [], "third", "c", { second });
      const planned = await plan([third]);
      expect(changesIn(planned)).toEqual(["place blocked", "free create", "second blocked", "third blocked"]);
      expect(planned.of(place)?.change).toEqual(taken);
      const report = await apply(planned, run());
      expect(report.steps.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
        "place failed",
        "free created",
        "second skipped",
        "third skipped",
      ]);
      expect(report.of(place)?.report.error).toMatchObject({ code: "azure/name-taken", message: "place: taken" });
    });

    test("stays so when what it needs has changed", async () => {
      const done: string[] = [];
      const first = thing(new Map(), done, "first", "a");
      const second = thing(new Map(), done, "second", "b", { first }, refused());
      const report = await apply(await plan([second]), run());
      expect(report.steps.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual(["first created", "second failed"]);
      expect(report.steps[1]?.error).toMatchObject({ code: "azure/name-taken", message: "second: taken" });
      expect(done).not.toContain("apply second");
    });

    test("is asked about once, and only when the plan says create", async () => {
      const world = new Map([["there", "a"]]);
      const asked: string[] = [];
      const precheck = (name: string) => ({ precheck: async () => void asked.push(name) as undefined });
      const there = thing(world, [], "there", "b", {}, precheck("there"));
      const absent = thing(world, [], "absent", "b", { there }, precheck("absent"));
      await apply(await plan([absent]), run());
      expect(asked).toEqual(["absent"]);
    });

    test("says all that stands in the way of what is made first", async () => {
      const place = thing(new Map(), [], "place", "a", {}, { isBillable: true });
      const one = thing(new Map(), [], "one", "b", { place }, { precheck: async () => ({ ...taken, reason: "one is taken" }) });
      const two = thing(new Map(), [], "two", "b", { place }, { precheck: async () => ({ ...taken, reason: "two is taken" }) });
      const planned = await plan([one, two]);
      expect(planned.of(place)?.change).toMatchObject({ reason: "one is taken; two is taken" });
    });
  });

  test("blocked steps are no changes, and may say what kind of failure they are", async () => {
    const world = new Map([["one", "x"]]);
    const refuse = { plan: () => ({ kind: "blocked", reason: "there is none", code: "azure/not-found" }) as const };
    const blocked = thing(world, [], "one", "y", {}, refuse);
    const planned = await plan([blocked, thing(world, [], "two", "y", { blocked }), thing(world, [], "three", "z")]);
    expect([changesOf(planned), blockedOf(planned)]).toEqual([1, 2]);
    const report = await apply(planned, run());
    expect(report.steps[0]?.error).toMatchObject({ code: "azure/not-found" });
  });

  test("after Ctrl-C nothing new begins", async () => {
    const done: string[] = [];
    const cancel = new AbortController();
    const first = thing(new Map(), done, "first", "a", {}, { apply: async () => cancel.abort() });
    const second = thing(new Map(), done, "second", "b", { first });
    const report = await apply(await plan([second]), run(cancel.signal));
    expect(report.steps.at(-1)).toMatchObject({ outcome: "skipped" });
    expect(done).not.toContain("apply second");
  });
});
