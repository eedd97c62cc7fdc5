/** A site of App Service: a web or function app, or one of its deployment slots. */
export interface SiteAddress {
  /** Name of its resource group. */
  readonly group: string;
  /** Azure's name of the app. */
  readonly app: string;
  /** Absent: the app itself, its production slot. */
  readonly slot?: string;
}
