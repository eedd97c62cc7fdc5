import { expect } from "vitest";
import { fileTest, type TestEmulator } from "./emulator.ts";
import { failuresOf } from "./outcomes.ts";
import { openTestProject, type TestProject } from "./project.ts";

/** All tests of a file share one local Azure as `emulator`, and on it one project of this file, made by `init`, as `project`. */
export const projectTest = (file: object, prepare?: (project: TestProject, emulator: TestEmulator) => Promise<void>) =>
  fileTest.extend<{ $file: { project: TestProject } }>({
    project: [
      async ({ emulator }, use: (project: TestProject) => Promise<void>) => {
        const project = await openTestProject(emulator, file);
        expect(failuresOf(await project.init())).toEqual([]);
        await prepare?.(project, emulator);
        await use(project);
      },
      { scope: "file" },
    ],
  });
