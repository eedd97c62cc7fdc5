import { expect, it } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import type { BoundCheck, Finding } from "../../src/checks/check.ts";
import { proveAll, type VerifyContext } from "../../src/checks/prove-all.ts";
import { environments } from "../../src/cloud/environment.ts";

const context = { cloud: { environment: environments.public } } as VerifyContext;

const part = (code: BoundCheck["code"], look: () => Promise<Finding | undefined>): BoundCheck => {
  return { code, name: code, proof: "role is not privileged", meaning: `what ${code} leads to`, repair: `repair ${code}`, look };
};
const well = part("role/no-member", async () => ({ ok: true, detail: "member of no role" }));
const wrong = part("role/no-administrator", async () => ({ ok: false, detail: "labelled as administrator" }));
const blind = part("role/no-lent-power", () =>
  Promise.reject(new KnownError("azure/not-found", "the server is Stopped", { hint: "start it" })),
);

it("what is wrong is told with what it leads to", async () => {
  expect(await proveAll([well, wrong], context)).toEqual([
    {
      name: "role is not privileged",
      code: "role/no-administrator",
      ok: false,
      detail: "labelled as administrator",
      meaning: "what role/no-administrator leads to",
      hint: "repair role/no-administrator",
    },
  ]);
});

it("a check that could not look fails its proof, and claims nothing that it has not seen", async () => {
  expect(await proveAll([well, blind], context)).toEqual([
    { name: "role is not privileged", code: "role/no-lent-power", ok: false, detail: "the server is Stopped", hint: "start it" },
  ]);
});

it("a proof of which no part applies does not hold", async () => {
  const [result] = await proveAll([part("role/exists", async () => undefined)], context);
  expect(result).toMatchObject({ ok: false, detail: "not looked at" });
});
