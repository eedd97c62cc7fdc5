import { json } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import type { Site } from "./model.ts";
import { publishingPassword } from "./publishing-password.ts";
import { onSite, type SiteOperation } from "./site-operations.ts";
import { childToWire } from "./wire.ts";

/**
 * What az looks at around a site: `az webapp create` and `az webapp show` end with the publishing profiles (seen with 2.70 and 2.91).
 * Shapes: learn.microsoft.com/rest/api/appservice/web-apps; the XML after Microsoft's published samples, not recorded.
 */
export function publishingOperations(platform: Platform): readonly SiteOperation[] {
  return [
    // What no site of local Azure can have; az lists it.
    ...["backups", "snapshots", "continuouswebjobs", "triggeredwebjobs"].map((kind) =>
      onSite("GET", `/${kind}`, "specification", () => json(200, { value: [], nextLink: null })),
    ),
    // A bare list in the specification, not a page of one.
    onSite("GET", "/virtualNetworkConnections", "specification", () => json(200, [])),
    // Sign-in in front of an app is never on here; writing it answers 501.
    onSite("POST", "/config/authsettings/list", "specification", "none", (site) =>
      json(200, childToWire(site, "config/authsettings", "config", { enabled: false })),
    ),
    ...["", "/list"].map((end) =>
      onSite("GET", `/config/authsettingsV2${end}`, "specification", (site) =>
        json(200, childToWire(site, "config/authsettingsV2", "config", { platform: { enabled: false, runtimeVersion: "~1" } })),
      ),
    ),
    onSite("POST", "/config/azurestorageaccounts/list", "specification", "none", (site) =>
      json(200, childToWire(site, "config/azurestorageaccounts", "config", {})),
    ),
    onSite("POST", "/publishxml", "documentation", "none", (site) => {
      const profiles = publishProfiles(site, publishingPassword(platform, site));
      return new Response(profiles, { headers: { "content-type": "application/xml" } });
    }),
    onSite("GET", "/hostNameBindings", "specification", (site) => json(200, { value: [hostNameBinding(site)], nextLink: null })),
    onSite("GET", "/sourcecontrols/web", "specification", (site) =>
      json(200, childToWire(site, "sourcecontrols/web", "sourcecontrols", NO_REPOSITORY)),
    ),
  ];
}

const NO_REPOSITORY = {
  repoUrl: null,
  branch: null,
  isManualIntegration: false,
  isGitHubAction: false,
  deploymentRollbackEnabled: false,
  isMercurial: false,
  gitHubActionConfiguration: null,
};

function hostNameBinding(site: Site): object {
  const host = `localhost:${site.ports.app}`;
  return childToWire(site, `hostNameBindings/${host}`, "hostNameBindings", {
    siteName: site.name,
    domainId: null,
    hostNameType: "Verified",
    sslState: null,
    thumbprint: null,
  });
}

/** Where publishing with a password is off, Azure gives no password away (documented; the word is inferred). */
function publishProfiles(site: Site, password: string): string {
  const scm = `localhost:${site.ports.scm}`;
  const profile = (kind: string, method: string, url: string, isAllowed: boolean, more = ""): string =>
    `<publishProfile profileName="${site.name} - ${kind}" publishMethod="${method}" publishUrl="${url}" ${more}userName="$${site.name}" ` +
    `userPWD="${isAllowed ? password : "REDACTED"}" destinationAppUrl="http://localhost:${site.ports.app}" ` +
    `SQLServerDBConnectionString="" mySQLDBConnectionString="" hostingProviderForumLink="" controlPanelLink="https://portal.azure.com" ` +
    `webSystem="WebSites"><databases /></publishProfile>`;
  const { scm: isScmAllowed, ftp: isFtpAllowed } = site.basicPublishing;
  const profiles = [
    profile("Web Deploy", "MSDeploy", scm, isScmAllowed, `msdeploySite="${site.name}" `),
    profile("FTP", "FTP", "ftps://localhost/site/wwwroot", isFtpAllowed, 'ftpPassiveMode="True" '),
    profile("Zip Deploy", "ZipDeploy", scm, isScmAllowed),
  ];
  return `<publishData>${profiles.join("")}</publishData>`;
}
