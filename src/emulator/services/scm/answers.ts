/** SCM answers what goes wrong in plain words. */
export function text(code: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status: code, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

export function html(code: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status: code, headers: { "content-type": "text/html", ...headers } });
}
