import { expect, test } from "vitest";
import { carryGlobalOptions } from "../../../src/cli/terminal/command-hints.ts";

test.each([
  ["run `passwordless-pg up` again", { local: true }, "run `passwordless-pg up --local` again"],
  ["run `passwordless-pg doctor --fix`", { local: true, env: "test" }, "run `passwordless-pg doctor --fix --local --env test`"],
  ["`passwordless-pg init`", { config: "my files/it's.json" }, "`passwordless-pg init --config 'my files/it'\\''s.json'`"],
  ["`passwordless-pg init`", { cloud: "china", subscription: "s" }, "`passwordless-pg init --cloud china --subscription s`"],
  ["`passwordless-pg local start`, `az login`", { local: true }, "`passwordless-pg local start`, `az login`"],
  ["`passwordless-pg up`", {}, "`passwordless-pg up`"],
])("what to type next goes where this run went: %s with %j", (text, options, wanted) => {
  expect(carryGlobalOptions(text, options)).toBe(wanted);
});
