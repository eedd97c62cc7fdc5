const page = (title: string, text: string): string =>
  `<!DOCTYPE html><html><head><meta charset="utf-8"><title>${title}</title></head><body><div><h1>${title}</h1><p>${text}</p></div></body></html>`;

/** The HTML that App Service's front end and SCM answer with: the titles are Azure's, the layout is ours. */
export const pages = {
  /** 200, for a site without content and for Oryx's default site. */
  waiting: page("Microsoft Azure App Service - Welcome", "Your web app is running and waiting for your content"),
  /** 403, on the site and (for a token without rights) on SCM. */
  stopped: page(
    "Error 403 - This web app is stopped.",
    "The web app you have attempted to reach is currently stopped and does not accept any requests.",
  ),
  /** 503, when the app does not run. */
  applicationError: page(
    "Application Error",
    ":( Application Error. If you are the application administrator, you can access the diagnostic resources.",
  ),
  /** 502, when the app broke off. */
  badGateway: page("502 - Web server received an invalid response while acting as a gateway or proxy server.", "Bad Gateway"),
  /** 401 of SCM. */
  unauthorized: page(
    "401 - Unauthorized: Access is denied due to invalid credentials.",
    "You do not have permission to view this directory or page using the credentials that you supplied.",
  ),
} as const;
