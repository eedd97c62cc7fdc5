/** The options of a run that say which project and which Azure it is about. */
interface Where {
  readonly local?: boolean;
  readonly cloud?: string;
  readonly subscription?: string;
  readonly config?: string;
  readonly env?: string;
}

/**
 * Gives each `passwordless-pg …` that is told to be typed next the options by which this run found its project and its Azure: without
 * `--local` it would go to the real one. `local` itself needs none. Options are quoted for a POSIX shell.
 */
export function carryGlobalOptions(text: string, options: Where): string {
  const flags = carriedBy(options).join(" ");
  if (flags === "") return text;
  return text.replace(/`passwordless-pg (?!local\b|-)([^`]+)`/g, (_, command: string) => `\`passwordless-pg ${command} ${flags}\``);
}

function carriedBy({ local, cloud, subscription, config, env }: Where): string[] {
  const named = Object.entries({ cloud: local ? undefined : cloud, subscription, config, env });
  return [...(local ? ["--local"] : []), ...named.flatMap(([name, value]) => (value ? [`--${name} ${quoted(value)}`] : []))];
}

function quoted(value: string): string {
  return /^[\w./:@=+-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
