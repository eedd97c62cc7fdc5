/** Names that say password or secret, values with a password in a URL or connection text, and tokens. */
export function isSecretSetting(name: string, value: string): boolean {
  if (value === "" || value.startsWith("@Microsoft.KeyVault(")) return false;
  return (
    /passw(or)?d|pwd|secret|api_?key|access_?key|connection_?key/i.test(name) ||
    /:\/\/[^/\s:@]+:[^/\s@]+@|password\s*=\s*\S|^eyJ[\w-]+\.eyJ/i.test(value)
  );
}

/** Names of the settings that hold a secret; never their values. */
export function secretSettingNames(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings)
    .filter(([name, value]) => isSecretSetting(name, value))
    .map(([name]) => name);
}
