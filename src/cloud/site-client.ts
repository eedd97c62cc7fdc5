export interface SiteResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The app's public URL. Every call is bounded; a GET is tried again on connection errors. */
export interface SiteClient {
  get(path: string, options?: { readonly timeoutMs?: number }): Promise<SiteResponse>;
  post(path: string, json: unknown, options?: { readonly timeoutMs?: number }): Promise<SiteResponse>;
}
