import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    passWithNoTests: false,
    // Tests wait for processes more than they compute: one worker on two cores left the machine idle.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/clients/**", "test/contract/**", "test/matrix/**"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "contract",
          include: ["test/contract/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/matrix/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // Foreign clients (az of two versions, Python SDKs, psql): `npm run test:clients`. Installs them at first use.
        test: {
          name: "clients",
          include: ["test/clients/**/*.test.ts"],
          globalSetup: ["test/clients/support/write-coverage.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        // Every point and every fault, for an hour; `npm test` takes the representative part, `test/matrix/*.test.ts`.
        test: {
          name: "matrix",
          include: ["test/matrix/**/*.matrix.ts"],
          testTimeout: 4 * 3_600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
