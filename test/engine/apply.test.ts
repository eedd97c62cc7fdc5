import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import { apply } from "../../src/engine/apply.ts";
import { observedIn } from "../../src/engine/observed.ts";
import { blockedOf, changesOf, plan } from "../../src/engine/plan.ts";
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
    expect(observedIn(report, second)).toEqual({ value: "b" });
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

  test("a refused step blocks what costs and would be made for it, and what needs it, before any of it is made", async () => {
    const done: string[] = [];
    const taken = { kind: "blocked", reason: "taken", code: "azure/name-taken" } as const;
    const first = thing(new Map(), done, "first", "a", {}, { isBillable: true });
    const there = thing(new Map([["there", "x"]]), done, "there", "x");
    // What costs nothing may be of use to others: it is made all the same.
    const free = thing(new Map(), done, "free", "x");
    const second = thing(new Map(), done, "second", "b", { first, there, free }, { precheck: async () => taken });
    const third = thing(new Map(), done, "third", "c", { second });
    const planned = await plan([third]);
    expect(planned.steps.map(({ step, change }) => `${step.name} ${change.kind}`)).toEqual([
      ...["first blocked", "there keep", "free create", "second blocked", "third blocked"],
    ]);
    const report = await apply(planned, run());
    expect(report.steps.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      ...["first failed", "there kept", "free created", "second skipped", "third skipped"],
    ]);
    expect(report.steps[0]?.error).toMatchObject({ code: "azure/name-taken", message: "first: taken" });
    expect(done.filter((entry) => entry.startsWith("apply"))).toEqual(["apply free"]);
  });

  test("a refused step stays refused when what it needs has changed", async () => {
    const done: string[] = [];
    const first = thing(new Map([["first", "old"]]), done, "first", "new");
    const second = thing(new Map(), done, "second", "b", { first }, { precheck: async () => ({ kind: "blocked", reason: "taken" }) });
    const report = await apply(await plan([second]), run());
    expect(report.steps.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual(["first updated", "second failed"]);
    expect(done).toEqual(["read first", "read second", "apply first", "read first"]);
  });

  test("what is there is not asked whether it can be made, and two refusals of one step stand side by side", async () => {
    const asked: string[] = [];
    const precheck = (name: string) => async () => {
      asked.push(name);
      return { kind: "blocked", reason: `${name} is taken`, hint: `another ${name}` } as const;
    };
    const group = thing(new Map(), [], "group", "g", {}, { isBillable: true });
    const there = thing(new Map([["there", "x"]]), [], "there", "y", {}, { precheck: precheck("there") });
    const one = thing(new Map(), [], "one", "a", { group }, { precheck: precheck("one") });
    const two = thing(new Map(), [], "two", "b", { group }, { precheck: precheck("two") });
    const planned = await plan([there, one, two]);
    expect(asked).toEqual(["one", "two"]);
    expect(planned.steps.map(({ change }) => change)).toEqual([
      { kind: "update", differences: [{ field: "value", observed: "x", desired: "y" }] },
      { kind: "blocked", reason: "one is taken; two is taken", hint: "another one" },
      { kind: "blocked", reason: "one is taken", hint: "another one" },
      { kind: "blocked", reason: "two is taken", hint: "another two" },
    ]);
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
