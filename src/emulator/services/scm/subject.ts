/** What SCM knows of the site it belongs to; asked anew each time. */
export interface ScmSubject {
  readonly siteId: string;
  readonly siteName: string;
  readonly linuxFxVersion: string;
  readonly appSettings: Readonly<Record<string, string>>;
  /** The site's folder: `home`, `releases`, `deployments`, `tmp` are below. */
  readonly folder: string;
  readonly isHttpLogging: boolean;
  readonly isBasicAllowed: boolean;
  readonly publishing: { readonly user: string; readonly password: string };
  readonly lastModified: string;
}
