/** A Service Connector connection of a web app to a database. */
export interface Linker {
  readonly name: string;
  /** Resource ID of the database. */
  readonly targetId: string;
  readonly authType: string;
  /** Database role the settings name. */
  readonly userName?: string;
  /** `python`, `nodejs`, … */
  readonly clientType: string;
  readonly provisioningState: string;
}

export interface LinkerValidation {
  readonly isAvailable: boolean;
  readonly items: readonly { readonly name: string; readonly isOk: boolean; readonly detail?: string }[];
  readonly message?: string;
}

/** Microsoft.ServiceLinker, api-version 2024-04-01: the SDK drops `userName`, so the JSON is ours. */
export interface Linkers {
  get(siteId: string, name: string): Promise<Linker | undefined>;
  list(siteId: string): Promise<Linker[]>;
  /** Creates or replaces, with the system-assigned identity. Restarts the app. */
  put(
    siteId: string,
    name: string,
    desired: { readonly targetId: string; readonly userName: string; readonly clientType: string },
  ): Promise<Linker>;
  delete(siteId: string, name: string): Promise<void>;
  /** What Service Connector checks; never a login as the app. */
  validate(siteId: string, name: string): Promise<LinkerValidation>;
  listConfigurations(siteId: string, name: string): Promise<{ readonly name: string; readonly value: string }[]>;
}
