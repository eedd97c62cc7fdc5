import { defineConfig } from "vitest/config";

/** Limits say that something hangs, never how fast it is: tests run on loaded machines. */
const usual = {
  globalSetup: ["test/support/templates.ts"],
  testTimeout: 600_000,
  hookTimeout: 600_000,
  expect: { poll: { timeout: 180_000, interval: 20 } },
};

/** Folders whose tests start nothing: no local Azure, no PostgreSQL. `test/house.test.ts` holds them to it. */
export const unitFolders: readonly string[] = ["advice", "base", "build", "engine", "logs", "package", "project"];
const unit = ["test/*.test.ts", ...unitFolders.map((folder) => `test/${folder}/**/*.test.ts`)];

export default defineConfig({
  test: {
    passWithNoTests: false,
    // Tests wait for processes more than they compute: one worker on two cores left the machine idle.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: "unit",
          include: unit,
          ...usual,
          globalSetup: [],
        },
      },
      {
        test: {
          name: "emulator",
          include: ["test/**/*.test.ts"],
          exclude: [...unit, "test/e2e/**", "test/clients/**", "test/matrix/**"],
          ...usual,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/matrix/**/*.test.ts"],
          ...usual,
        },
      },
      {
        // Foreign clients (az of two versions, Python SDKs, psql): `npm run test:clients`. Installs them at first use.
        test: {
          name: "clients",
          include: ["test/clients/**/*.test.ts"],
          ...usual,
          globalSetup: ["test/support/templates.ts", "test/clients/support/write-coverage.ts"],
        },
      },
      {
        // Every point and every fault, for an hour; `npm test` takes the representative part, `test/matrix/*.test.ts`.
        test: {
          name: "matrix",
          include: ["test/matrix/**/*.matrix.ts"],
          ...usual,
          testTimeout: 4 * 3_600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
