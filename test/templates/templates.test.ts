import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort, startTokenPostgres, type TokenPostgres } from "./postgres-with-tokens.ts";
import { type RunningTemplate, runTemplate } from "./run-template.ts";

const names = ["fastapi", "express"] as const;
const json = { "content-type": "application/json" };

const post = (url: string, body: string) => fetch(`${url}/items`, { method: "POST", headers: json, body });

/** Each line the app printed, as JSON; fails on a line that is none. */
const records = (output: string) =>
  output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe.each(names)("template %s without a database", (name) => {
  let app: RunningTemplate;
  beforeAll(async () => {
    const identity = { IDENTITY_ENDPOINT: `http://127.0.0.1:${await freePort()}/msi/token`, IDENTITY_HEADER: "header-that-stays-secret" };
    app = await runTemplate(name, {
      DB_HOST: "127.0.0.1",
      DB_PORT: String(await freePort()),
      DB_NAME: "shop",
      DB_USER: "app",
      ...identity,
    });
  }, 180_000);
  afterAll(() => app?.stop());

  test("is healthy, names its routes and says that the database is not there", async () => {
    const health = await fetch(`${app.url}/healthz`);
    expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
    expect(await (await fetch(app.url)).json()).toMatchObject({ name: "items", routes: expect.arrayContaining(["GET /items"]) });
    const database = await fetch(`${app.url}/healthz/database`);
    expect([database.status, await database.json()]).toEqual([
      503,
      { status: "unavailable", error: expect.any(String), message: "the database is not available; the log of the app says why" },
    ]);
    expect((await fetch(`${app.url}/nothing`)).status).toBe(404);
  });

  test.each([
    '{"name":""}',
    '{"name":7}',
    "{}",
    "[]",
    "not json",
    '{"name":"a\\u0000b"}',
    '{"name":"\\ud800"}',
    JSON.stringify({ name: "x".repeat(201) }),
  ])("refuses the item %s", async (body) => {
    const response = await post(app.url, body);
    expect([response.status, await response.json()]).toEqual([422, { error: "invalid", message: expect.any(String) }]);
  });

  test.each(["/items?limit=0", "/items?limit=101", "/items?limit=x", "/items/x", "/items/0", "/items/99999999999999999"])(
    "refuses %s",
    async (path) => {
      expect((await fetch(app.url + path)).status).toBe(422);
    },
  );

  test("tells a visitor nothing of what it told its log: no host, port, role or database", async () => {
    for (const path of ["/healthz/database", "/items"]) {
      const words = await (await fetch(app.url + path)).text();
      expect(words).not.toMatch(/127\.0\.0\.1|shop|"app"|connect|IDENTITY|Credential.*failed/i);
    }
    expect(records(app.output())).toContainEqual(
      expect.objectContaining({ level: "error", message: expect.stringMatching(/^database: .{20}/) }),
    );
  });

  test("refuses a body that is too long before it is kept in memory, also one without a length", async () => {
    const long = JSON.stringify({ name: "x", pad: "y".repeat(20_000) });
    expect((await post(app.url, long)).status).toBe(413);
    const stream = new ReadableStream({
      start: (out) => {
        out.enqueue(new TextEncoder().encode(long));
        out.close();
      },
    });
    const init = { method: "POST", headers: json, body: stream, duplex: "half" } as RequestInit;
    expect([411, 413]).toContain((await fetch(`${app.url}/items`, init)).status);
  });

  test("ends on SIGTERM; prints one JSON record a line and no secret", async () => {
    const { output } = await app.stop();
    expect(records(output).at(-1)).toMatchObject({ level: "info", message: expect.stringMatching(/stopped|Finished server process/) });
    expect(records(output)).toContainEqual(expect.objectContaining({ level: "info", method: "GET", path: "/healthz", status: 200 }));
    expect(output).not.toContain("header-that-stays-secret");
  });
});

describe("templates with a database", () => {
  let postgres: TokenPostgres;
  beforeAll(async () => {
    postgres = await startTokenPostgres();
  });
  afterAll(() => postgres?.close());

  const settings = () => ({
    ...postgres.identity,
    DB_HOST: "127.0.0.1",
    DB_PORT: String(postgres.port),
    DB_NAME: "shop",
    DB_USER: "app",
    PGSSLROOTCERT: postgres.caFile,
  });

  test.each(names)(
    "%s signs in with its token over verified TLS and keeps items",
    async (name) => {
      await postgres.admin("DROP TABLE IF EXISTS items; REVOKE CREATE ON SCHEMA public FROM app");
      const app = await runTemplate(name, settings());
      try {
        const health = await fetch(`${app.url}/healthz/database`);
        expect([health.status, await health.json()]).toEqual([200, { status: "ok", user: "app", tls: true }]);
        const refused = await post(app.url, '{"name":"tea"}');
        const told = await refused.text();
        expect([refused.status, JSON.parse(told)]).toMatchObject([
          503,
          { error: "42501", message: expect.stringContaining("access level owner") },
        ]);
        expect(told).not.toMatch(/"app\b|role "|127\.0\.0\.1|shop/);
        await postgres.admin("GRANT CREATE ON SCHEMA public TO app");
        const created = await Promise.all(
          ["tea", "crème 🫖", "x".repeat(200)].map((item) => post(app.url, JSON.stringify({ name: item }))),
        );
        expect(created.map(({ status }) => status)).toEqual([201, 201, 201]);
        const tea = (await created[0]?.json()) as { id: number };
        expect(tea).toEqual({
          id: expect.any(Number),
          name: "tea",
          createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        });
        const { items } = (await (await fetch(`${app.url}/items?limit=2`)).json()) as { items: { id: number }[] };
        expect(items.map(({ id }) => id)).toEqual([3, 2]);
        expect(await (await fetch(`${app.url}/items/${tea.id}`)).json()).toEqual(tea);
        const remove = () => fetch(`${app.url}/items/${tea.id}`, { method: "DELETE" });
        expect([(await remove()).status, (await remove()).status, (await fetch(`${app.url}/items/${tea.id}`)).status]).toEqual([
          204, 404, 404,
        ]);
        await postgres.admin("INSERT INTO items (name) SELECT 'x' FROM generate_series(1, 9998)");
        expect((await post(app.url, '{"name":"one too many"}')).status).toBe(409);
        await postgres.admin("DELETE FROM items WHERE name = 'x'");
        expect((await post(app.url, '{"name":"again"}')).status).toBe(201);
        expect(postgres.tokenRequests()).toBeGreaterThan(0);
      } finally {
        const { output } = await app.stop();
        expect(output).not.toContain(postgres.token);
        records(output);
      }
    },
    180_000,
  );

  test.each(names)(
    "%s recovers when the role appears later, and names the SQLSTATE until then",
    async (name) => {
      await postgres.admin("ALTER ROLE app NOLOGIN");
      const app = await runTemplate(name, settings());
      try {
        const before = await fetch(`${app.url}/healthz/database`);
        expect([before.status, await before.json()]).toMatchObject([503, { error: expect.stringMatching(/^28000$|OperationalError/) }]);
        await postgres.admin("ALTER ROLE app LOGIN");
        await expect.poll(async () => (await fetch(`${app.url}/healthz/database`)).status).toBe(200);
      } finally {
        await app.stop();
      }
    },
    180_000,
  );

  test.each(names)(
    "%s keeps to DB_POOL_SIZE connections",
    async (name) => {
      await postgres.admin("GRANT CREATE ON SCHEMA public TO app; ALTER ROLE app CONNECTION LIMIT 1");
      const app = await runTemplate(name, { ...settings(), DB_POOL_SIZE: "1" });
      try {
        const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => fetch(`${app.url}/items`)));
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
      } finally {
        await postgres.admin("ALTER ROLE app CONNECTION LIMIT -1");
        await app.stop();
      }
    },
    180_000,
  );

  test.each(names)(
    "%s says at once that its role was broken after it had started",
    async (name) => {
      const app = await runTemplate(name, settings());
      try {
        const items = async () => (await fetch(`${app.url}/items`)).status;
        await postgres.admin("GRANT CREATE ON SCHEMA public TO app");
        expect(await items()).toBe(200);
        await postgres.admin("ALTER ROLE app NOLOGIN");
        const broken = await Promise.all([1, 2, 3].map(() => fetch(`${app.url}/healthz/database`)));
        expect(broken.map(({ status }) => status)).toEqual([503, 503, 503]);
        // The pool knows nothing of it: this is why the check signs in anew.
        expect(await items()).toBe(200);
      } finally {
        await postgres.admin("ALTER ROLE app LOGIN");
        await app.stop();
      }
    },
    180_000,
  );

  // trap: servicelinker 15
  test.each(names)(
    "%s refuses a server certificate it cannot verify",
    async (name) => {
      const { PGSSLROOTCERT: _, ...rest } = settings();
      const app = await runTemplate(name, rest);
      try {
        expect((await fetch(`${app.url}/healthz/database`)).status).toBe(503);
      } finally {
        await app.stop();
      }
    },
    180_000,
  );
});
