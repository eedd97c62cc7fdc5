import { Command, Option } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { KnownError } from "../base/errors.ts";
import { environments } from "../cloud/environment.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

/** A command's handler; its exit code. */
type Handler<O> = (io: Io, options: O & GlobalOptions, ...args: string[]) => Promise<number>;

/** What commander calls: the handler, which is loaded then. */
type Action = <O>(load: () => Promise<Handler<O>>) => (...received: unknown[]) => Promise<void>;

/** The whole command line on one page. Handlers are loaded when they are called. */
export function createProgram(openIo: (options: GlobalOptions) => Io, exit: (code: number) => void): Command {
  const root = createRoot();
  const action: Action =
    (load) =>
    async (...received) => {
      const command = received.at(-1) as Command;
      const options = command.optsWithGlobals<GlobalOptions & Parameters<Awaited<ReturnType<typeof load>>>[1]>();
      const io = openIo(options);
      refuseTwoClouds(options);
      exit(await (await load())(io, options, ...(received.slice(0, -2) as string[])));
    };
  addProjectCommands(root, action);
  addClientCommands(root, action);
  addResourceCommands(root, action);
  addLocalCommands(root, action);
  return root;
}

function createRoot(): Command {
  return new Command("passwordless-pg")
    .description("PostgreSQL on Azure without passwords: from a folder to a proved deployment.")
    .version(manifest.version)
    .option("--local", "use local Azure (same as --cloud local)")
    .addOption(new Option("--cloud <name>", "which Azure").choices([...Object.keys(environments), "local"]))
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
}

/** Which of the two was meant? One of them may be a real subscription. */
function refuseTwoClouds({ local, cloud }: GlobalOptions): void {
  if (!local || cloud === undefined || cloud === "local") return;
  throw new KnownError("usage/invalid", `--local and --cloud ${cloud} contradict each other`, { hint: "leave one of them out" });
}

/** From a folder to a proved deployment, and back. */
function addProjectCommands(root: Command, action: Action): void {
  onNewProject(root, "init", "write passwordless-pg.json if absent, then create or correct all it asks for", [
    "init --template fastapi shop",
    "init --yes --json",
  ]).action(action(async () => (await import("./commands/init.ts")).init));
  onProject(root, "plan", "what init would do, with reasons and prices; exit code 3 when there are changes", [
    "plan",
    "plan --env staging --json",
  ]).action(action(async () => (await import("./commands/plan.ts")).plan));
  onProject(root, "deploy", "pack, upload, build, and wait until this deployment answers", [
    "deploy",
    "deploy --app api --json",
    "deploy --include certs/client.key",
  ])
    .option("--app <key>", "only this app of the project file")
    .option("--force", "upload also when the package is unchanged")
    .addOption(includeOption())
    .action(action(async () => (await import("./commands/deploy.ts")).deploy));
  onNewProject(root, "up", "init and deploy, then verify", ["up --local --template fastapi shop", "up --yes --json"])
    .addOption(includeOption())
    .action(action(async () => (await import("./commands/up.ts")).up));
  onProject(root, "verify", "prove the chain, check by check, to a row the app wrote and read through its token", [
    "verify",
    "verify --local --json",
  ]).action(action(async () => (await import("./commands/verify.ts")).verify));
  onProject(root, "status", "what is there", ["status"]).action(action(async () => (await import("./commands/status.ts")).status));
  onProject(root, "doctor", "what is wrong, why, and the command that repairs it; exit code 8 when something is", [
    "doctor",
    "doctor --fix",
    "doctor --local --json",
  ])
    .option("--fix", "repair what is safe: nothing that costs, removes or resizes")
    .action(action(async () => (await import("./commands/doctor.ts")).doctor));
  onProject(root, "down", "remove what this project created, nothing else", ["down", "down --local --yes"]).action(
    action(async () => (await import("./commands/down.ts")).down),
  );
}

/** Into the database, and into what the app prints. */
function addClientCommands(root: Command, action: Action): void {
  onProject(root, "connect", "psql with a fresh token", ["connect", "connect --local < script.sql", "connect --search-path public"])
    .option("--database <name>", "another database than the project's")
    .option("--search-path <schemas>", "where names without a schema are looked up (default: pg_catalog alone, which no app can write to)")
    .action(action(async () => (await import("./commands/connect.ts")).connect));
  onProject(root, "token", "a database token alone, for scripts", ['PGPASSWORD="$(passwordless-pg token)" psql …']).action(
    action(async () => (await import("./commands/connect.ts")).token),
  );
  const logs = root.command("logs").description("what the app and the platform print");
  onProject(logs, "tail", "live lines; ends with Ctrl-C only", ["logs tail", "logs tail --level warning --json"])
    .option("--app <key>", "app of the project file")
    .option("--filter <text>", "only lines with this text, or /regular expression/")
    .option("--since <time>", "also lines since then: 10m, 2h, or an ISO time")
    .addOption(new Option("--level <level>", "this level and above").choices(["debug", "info", "warning", "error"]))
    .action(action(async () => (await import("./commands/logs.ts")).tail));
  onProject(logs, "download", "all log files as one zip", ["logs download -o today.zip"])
    .option("--app <key>", "app of the project file")
    .option("-o, --output <file>", "where to", "logs.zip")
    .action(action(async () => (await import("./commands/logs.ts")).download));
}

/** One kind of resource at a time. Those that make something also make a project file where there is none. */
function addResourceCommands(root: Command, action: Action): void {
  type Commands = typeof import("./commands/resource-commands.ts");
  const run = (name: keyof Commands) => action(async () => (await import("./commands/resource-commands.ts"))[name]);
  const group = (name: string, description: string): Command => root.command(name).description(description);
  const make = (parent: Command, name: string, description: string, command: keyof Commands): void =>
    void onNewProject(parent, name, description, [`${parent.name()} ${name} --yes`]).action(run(command));
  const verb = (parent: Command, name: string, description: string, command: keyof Commands): void =>
    void onProject(parent, name, description, [`${parent.name()} ${name}`]).action(run(command));

  const server = group("server", "the flexible server alone");
  make(server, "create", "create or correct the server and its Entra administrator", "serverCreate");
  verb(server, "show", "what Azure says of it", "serverShow");
  verb(server, "start", "start it", "serverStart");
  verb(server, "stop", "stop it", "serverStop");
  verb(server, "restart", "restart it", "serverRestart");
  const webapp = group("webapp", "the web apps alone");
  make(webapp, "create", "create or correct plan, web app, identity and configuration", "webappCreate");
  verb(webapp, "show", "what Azure says of them", "webappShow");
  verb(webapp, "start", "start them", "webappStart");
  verb(webapp, "stop", "stop them", "webappStop");
  verb(webapp, "restart", "restart them", "webappRestart");
  const connection = group("connection", "the Service Connector connections alone");
  make(connection, "create", "create or correct them, with the settings", "connectionCreate");
  verb(connection, "list", "what Azure says of them", "connectionList");
  verb(connection, "validate", "let Service Connector check them", "connectionValidate");
  const principal = group("principal", "the database roles of the apps alone");
  make(principal, "add", "create or correct the roles and their rights", "principalAdd");
  verb(principal, "show", "what the database says of them", "principalShow");
  const firewall = group("firewall", "the server's firewall alone");
  make(firewall, "apply", "create or correct the rules, sweep what a killed run left open", "firewallApply");
  verb(firewall, "list", "the rules", "firewallList");
}

function addLocalCommands(root: Command, action: Action): void {
  type Commands = typeof import("./commands/local.ts");
  const local = root.command("local").description("local Azure: the same commands with no account and no internet");
  const verb = (name: keyof Commands, description: string): Command =>
    withExamples(local.command(name).description(description), [`local ${name}`]).action(
      action<object>(async () => (await import("./commands/local.ts"))[name]),
    );
  verb("start", "start it in the background")
    .option("--port <number>", "port of the ARM endpoint (default: the last one, or a free one)")
    .option("--clock <mode>", "fast, or recorded[:SCALE] for the durations of real Azure", "fast")
    .option("--token-lifetime <seconds>", "lifetime of the tokens it gives out", "3600")
    .option("--postgres <versions>", "fetch these PostgreSQL versions now, for work without a network: 16, or 16,17");
  verb("stop", "stop it; everything it holds stays");
  verb("status", "is it running, and where");
  verb("reset", "stop it and forget everything it holds");
  verb("env", "what any other client needs").addOption(
    new Option("--format <form>", "for a shell, as JSON, or for `az cloud register`").choices(["shell", "json", "az"]).default("shell"),
  );
  verb("logs", "what local Azure itself printed");
  root
    .command("demo", { hidden: true })
    .description("local Azure, a FastAPI app, and the proof, in a temporary folder")
    .option("--keep", "leave everything running")
    .option("--template <name>", "fastapi, express", "fastapi")
    .action(action(async () => (await import("./commands/demo.ts")).demo));
}

/** A command of a project's folder. */
function onProject(parent: Command, name: string, description: string, examples: readonly string[]): Command {
  return withExamples(parent.command(name).description(description).argument("[dir]", "folder of the project", "."), examples);
}

/** The same, where there may be no project file yet. */
function onNewProject(parent: Command, name: string, description: string, examples: readonly string[]): Command {
  return onProject(parent, name, description, examples)
    .option("--name <name>", "project name, for a new project file")
    .option("--location <region>", "Azure region, for a new project file")
    .option("--resource-group <name>", "resource group, for a new project file")
    .option("--template <name>", "lay down an app first: fastapi, express");
}

function withExamples(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((line) => (line.startsWith("PG") ? `  $ ${line}` : `  $ passwordless-pg ${line}`));
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

function includeOption(): Option {
  return new Option("--include <file>", "pack this file although it looks like a key; repeatable").argParser<string[]>(
    (file, before = []) => [...before, file],
  );
}
