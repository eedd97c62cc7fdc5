import { describe, expect } from "vitest";
import { fileTest as test } from "../support/emulator.ts";
import { eventually, makeSite, pythonApp } from "../support/sites.ts";

describe("a deployed Python app", () => {
  test("runs with its settings, on loopback, behind http and https", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-app", { startup: "python app.py", settings: { GREETING: "hi there" }, identity: true });
    const before = await emulator.fetch(`${site.origin}/`);
    expect(before.status).toBe(200);
    expect(before.text).toContain("Your web app is running and waiting for your content");

    expect(await site.deploy({ "app.py": pythonApp })).toMatchObject({ status: "RuntimeSuccessful" });
    const answer = await emulator.fetch(`${site.origin}/some/path?x=1`);
    expect(answer.status).toBe(200);
    expect(answer.body.path).toBe("/some/path?x=1");
    expect(answer.body.env).toMatchObject({
      GREETING: "hi there",
      APPSETTING_GREETING: "hi there",
      WEBSITE_SITE_NAME: "py-app",
      IDENTITY_ENDPOINT: expect.stringContaining("http://127.0.0.1:"),
    });
    expect(Object.keys(answer.body.env)).not.toContain("USER");
    const plain = await fetch(`${site.origin.replace("https", "http")}/plain`);
    expect(plain.status).toBe(200);
    await plain.body?.cancel();
  });
});
