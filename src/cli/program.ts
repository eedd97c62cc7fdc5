import { Command, Option } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { KnownError } from "../base/errors.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

/** Which of the two was meant? One of them may be a real subscription. */
function refuseTwoClouds({ local, cloud }: GlobalOptions): void {
  if (!local || cloud === undefined || cloud === "local") return;
  throw new KnownError("usage/invalid", `--local and --cloud ${cloud} contradict each other`, { hint: "leave one of them out" });
}

type Run<O> = (io: Io, options: O & GlobalOptions, ...args: string[]) => Promise<number>;

/** The whole command line on one page. Handlers are loaded when they are called. */
export function createProgram(openIo: (options: GlobalOptions) => Io, exit: (code: number) => void): Command {
  const root = new Command("passwordless-pg")
    .description("PostgreSQL on Azure without passwords: from a folder to a proved deployment.")
    .version(manifest.version)
    .option("--local", "use local Azure (same as --cloud local)")
    .addOption(new Option("--cloud <name>", "which Azure").choices(["public", "usgov", "china", "local"]))
    .option("--subscription <id>", "Azure subscription")
    .option("--config <file>", "project file (default: passwordless-pg.json in the folder)")
    .option("--env <name>", "environment of the project file")
    .option("-y, --yes", "do not ask before changes")
    .option("--json", "print one JSON document")
    .option("-q, --quiet", "no progress")
    .option("-v, --verbose", "more detail")
    .option("--no-color", "no colours")
    .option("--no-input", "never ask")
    .showHelpAfterError("(add --help for the options)")
    .showSuggestionAfterError()
    .exitOverride();

  const action =
    <O>(load: () => Promise<Run<O>>) =>
    async (...received: unknown[]): Promise<void> => {
      const command = received.at(-1) as Command;
      const options = command.optsWithGlobals() as O & GlobalOptions;
      const io = openIo(options);
      refuseTwoClouds(options);
      exit(await (await load())(io, options, ...(received.slice(0, -2) as string[])));
    };
  const examples = (command: Command, ...lines: string[]): Command =>
    command.addHelpText(
      "after",
      `\nExamples:\n${lines.map((line) => (line.startsWith("PG") ? `  $ ${line}` : `  $ passwordless-pg ${line}`)).join("\n")}`,
    );
  const includeOption = (): Option =>
    new Option("--include <file>", "pack this file although it looks like a key; repeatable").argParser<string[]>((file, before = []) => [
      ...before,
      file,
    ]);
  const withProject = (command: Command): Command =>
    command
      .argument("[dir]", "folder of the project", ".")
      .option("--name <name>", "project name, for a new project file")
      .option("--location <region>", "Azure region, for a new project file")
      .option("--resource-group <name>", "resource group, for a new project file")
      .option("--template <name>", "lay down an app first: fastapi, express");

  examples(
    withProject(root.command("init").description("write passwordless-pg.json if absent, then create or correct all it asks for")).action(
      action(async () => (await import("./commands/init.ts")).init),
    ),
    "init --template fastapi shop",
    "init --yes --json",
  );
  examples(
    root
      .command("plan")
      .description("what init would do, with reasons and prices; exit code 3 when there are changes")
      .argument("[dir]", "folder of the project", ".")
      .action(action(async () => (await import("./commands/plan.ts")).plan)),
    "plan",
    "plan --env staging --json",
  );
  examples(
    root
      .command("deploy")
      .description("pack, upload, build, and wait until this deployment answers")
      .argument("[dir]", "folder of the project", ".")
      .option("--app <key>", "only this app of the project file")
      .option("--force", "upload also when the package is unchanged")
      .addOption(includeOption())
      .action(action(async () => (await import("./commands/deploy.ts")).deploy)),
    "deploy",
    "deploy --app api --json",
    "deploy --include certs/client.key",
  );
  examples(
    withProject(root.command("up").description("init and deploy, then verify"))
      .addOption(includeOption())
      .action(action(async () => (await import("./commands/up.ts")).up)),
    "up --local --template fastapi shop",
    "up --yes --json",
  );
  examples(
    root
      .command("verify")
      .description("prove the chain, check by check, to a row the app wrote and read through its token")
      .argument("[dir]", "folder of the project", ".")
      .action(action(async () => (await import("./commands/verify.ts")).verify)),
    "verify",
    "verify --local --json",
  );
  examples(
    root
      .command("status")
      .description("what is there")
      .argument("[dir]", "folder of the project", ".")
      .action(action(async () => (await import("./commands/status.ts")).status)),
    "status",
  );
  examples(
    root
      .command("doctor")
      .description("what is wrong, why, and the command that repairs it; exit code 8 when something is")
      .argument("[dir]", "folder of the project", ".")
      .option("--fix", "repair what is safe: nothing that costs, removes or resizes")
      .action(action(async () => (await import("./commands/doctor.ts")).doctor)),
    "doctor",
    "doctor --fix",
    "doctor --local --json",
  );
  examples(
    root
      .command("down")
      .description("remove what this project created, nothing else")
      .argument("[dir]", "folder of the project", ".")
      .action(action(async () => (await import("./commands/down.ts")).down)),
    "down",
    "down --local --yes",
  );

  examples(
    root
      .command("connect")
      .description("psql with a fresh token")
      .argument("[dir]", "folder of the project", ".")
      .option("--database <name>", "another database than the project's")
      .option(
        "--search-path <schemas>",
        "where names without a schema are looked up (default: pg_catalog alone, which no app can write to)",
      )
      .action(action(async () => (await import("./commands/connect.ts")).connect)),
    "connect",
    "connect --local < script.sql",
    "connect --search-path public",
  );
  examples(
    root
      .command("token")
      .description("a database token alone, for scripts")
      .argument("[dir]", "folder of the project", ".")
      .action(action(async () => (await import("./commands/connect.ts")).token)),
    'PGPASSWORD="$(passwordless-pg token)" psql …',
  );

  const logs = root.command("logs").description("what the app and the platform print");
  examples(
    logs
      .command("tail")
      .description("live lines; ends with Ctrl-C only")
      .argument("[dir]", "folder of the project", ".")
      .option("--app <key>", "app of the project file")
      .option("--filter <text>", "only lines with this text, or /regular expression/")
      .option("--since <time>", "also lines since then: 10m, 2h, or an ISO time")
      .addOption(new Option("--level <level>", "this level and above").choices(["debug", "info", "warning", "error"]))
      .action(action(async () => (await import("./commands/logs.ts")).tail)),
    "logs tail",
    "logs tail --level warning --json",
  );
  examples(
    logs
      .command("download")
      .description("all log files as one zip")
      .argument("[dir]", "folder of the project", ".")
      .option("--app <key>", "app of the project file")
      .option("-o, --output <file>", "where to", "logs.zip")
      .action(action(async () => (await import("./commands/logs.ts")).download)),
    "logs download -o today.zip",
  );

  const pieces = async (): Promise<typeof import("./commands/resource-commands.ts")> => import("./commands/resource-commands.ts");
  const piece = (name: string, description: string): Command => root.command(name).description(description);
  const verb = (parent: Command, name: string, description: string, load: () => Promise<Run<object>>): void => {
    const command = parent.command(name).description(description).argument("[dir]", "folder of the project", ".");
    examples(command.action(action(load)), `${parent.name()} ${name}`);
  };
  /** The verbs that make something also make a project file where there is none. */
  const making = (parent: Command, name: string, description: string, load: () => Promise<Run<object>>): void => {
    examples(withProject(parent.command(name).description(description)).action(action(load)), `${parent.name()} ${name} --yes`);
  };
  const server = piece("server", "the flexible server alone");
  making(server, "create", "create or correct the server and its Entra administrator", async () => (await pieces()).serverCreate);
  verb(server, "show", "what Azure says of it", async () => (await pieces()).serverShow);
  verb(server, "start", "start it", async () => (await pieces()).serverStart);
  verb(server, "stop", "stop it", async () => (await pieces()).serverStop);
  verb(server, "restart", "restart it", async () => (await pieces()).serverRestart);
  const webapp = piece("webapp", "the web apps alone");
  making(webapp, "create", "create or correct plan, web app, identity and configuration", async () => (await pieces()).webappCreate);
  verb(webapp, "show", "what Azure says of them", async () => (await pieces()).webappShow);
  verb(webapp, "start", "start them", async () => (await pieces()).webappStart);
  verb(webapp, "stop", "stop them", async () => (await pieces()).webappStop);
  verb(webapp, "restart", "restart them", async () => (await pieces()).webappRestart);
  const connection = piece("connection", "the Service Connector connections alone");
  making(connection, "create", "create or correct them, with the settings", async () => (await pieces()).connectionCreate);
  verb(connection, "list", "what Azure says of them", async () => (await pieces()).connectionList);
  verb(connection, "validate", "let Service Connector check them", async () => (await pieces()).connectionValidate);
  const principal = piece("principal", "the database roles of the apps alone");
  making(principal, "add", "create or correct the roles and their rights", async () => (await pieces()).principalAdd);
  verb(principal, "show", "what the database says of them", async () => (await pieces()).principalShow);
  const firewall = piece("firewall", "the server's firewall alone");
  making(firewall, "apply", "create or correct the rules, sweep what a killed run left open", async () => (await pieces()).firewallApply);
  verb(firewall, "list", "the rules", async () => (await pieces()).firewallList);

  const local = root.command("local").description("local Azure: the same commands with no account and no internet");
  const localVerb = (name: string, description: string, load: () => Promise<Run<object>>): Command =>
    examples(local.command(name).description(description).action(action(load)), `local ${name}`);
  const localCommands = async (): Promise<typeof import("./commands/local.ts")> => import("./commands/local.ts");
  localVerb("start", "start it in the background", async () => (await localCommands()).start)
    .option("--port <number>", "port of the ARM endpoint (default: the last one, or a free one)")
    .option("--clock <pace>", "fast, or recorded[:SCALE] for the durations of real Azure", "fast")
    .option("--token-lifetime <seconds>", "lifetime of the tokens it gives out", "3600")
    .option("--postgres <versions>", "fetch these PostgreSQL versions now, for work without a network: 16, or 16,17");
  localVerb("stop", "stop it; everything it holds stays", async () => (await localCommands()).stop);
  localVerb("status", "is it running, and where", async () => (await localCommands()).status);
  localVerb("reset", "stop it and forget everything it holds", async () => (await localCommands()).reset);
  localVerb("env", "what any other client needs", async () => (await localCommands()).env).addOption(
    new Option("--format <form>", "for a shell, as JSON, or for `az cloud register`").choices(["shell", "json", "az"]).default("shell"),
  );
  localVerb("logs", "what local Azure itself printed", async () => (await localCommands()).logs);

  root
    .command("demo", { hidden: true })
    .description("local Azure, a FastAPI app, and the proof, in a temporary folder")
    .option("--keep", "leave everything running")
    .option("--template <name>", "fastapi, express", "fastapi")
    .action(action(async () => (await import("./commands/demo.ts")).demo));
  return root;
}
