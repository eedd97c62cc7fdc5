import { fileTest } from "./emulator.ts";
import { openTestProject, type TestProject } from "./project.ts";

/** All tests of a file share one local Azure as `emulator`, and on it one project of this file, made by `init`, as `project`. */
export const projectTest = (file: object) =>
  fileTest.extend<{ $file: { project: TestProject } }>({
    project: [
      async ({ emulator }, use: (project: TestProject) => Promise<void>) => {
        const project = await openTestProject(emulator, file);
        await project.init();
        await use(project);
      },
      { scope: "file" },
    ],
  });
