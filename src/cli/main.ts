import manifest from "../../package.json" with { type: "json" };

/** Runs one command line and answers with the exit code. `argv` is the process's own, with node and script in front. */
export async function main(argv: readonly string[]): Promise<number> {
  // Asked for often, by scripts and shells: answered before anything else is loaded.
  if (argv.length === 3 && argv[2] === "--version") {
    process.stdout.write(`${manifest.version}\n`);
    return 0;
  }
  const { run } = await import("./run.ts");
  return run(argv);
}
