const python = ["3.14", "3.13", "3.12", "3.11", "3.10", "3.9"];
const node = ["24", "22", "20", "18"];

const minor = (displayText: string, value: string, runtimeVersion: string): object => ({
  displayText,
  value,
  stackSettings: {
    linuxRuntimeSettings: {
      runtimeVersion,
      remoteDebuggingSupported: false,
      appInsightsSettings: { isSupported: true },
      gitHubActionSettings: { isSupported: true },
      isHidden: false,
      isEarlyAccess: false,
    },
  },
});

const stack = (name: string, displayText: string, majorVersions: readonly object[]): object => ({
  id: null,
  name,
  type: "Microsoft.Web/webAppStacks",
  properties: { displayText, value: name, preferredOs: "linux", majorVersions },
});

/** `webAppStacks`: only what local Azure runs (real answers have about 80 KB). Shape: learn.microsoft.com, Provider_GetWebAppStacks. */
export const webAppStacks: readonly object[] = [
  stack("python", "Python", [
    {
      displayText: "Python 3",
      value: "3",
      minorVersions: python.map((version) => minor(`Python ${version}`, version, `PYTHON|${version}`)),
    },
  ]),
  stack(
    "node",
    "Node",
    node.map((version) => ({
      displayText: `Node LTS (${version})`,
      value: version,
      minorVersions: [minor(`Node ${version} LTS`, `${version}-lts`, `NODE|${version}-lts`)],
    })),
  ),
];
