import { Readable } from "node:stream";
import {
  createDefaultHttpClient,
  createHttpHeaders,
  type HttpClient,
  type PipelineRequest,
  type PipelineResponse,
  RestError,
} from "@azure/core-rest-pipeline";
import { KnownError } from "../base/errors.ts";
import { hints } from "./hints.ts";

/** What of an answer is kept at most, in bytes, by who answers. */
export const ANSWER_BYTES = {
  /** A page of any list: 1,000 resources are some 2 MB; the offers of a region are the longest that is known. */
  resourceManager: 32 * 1024 * 1024,
  /** Tokens and metadata. */
  authority: 1024 * 1024,
  /** Build logs and lists of files; logs and zips are streams, which are bounded where they are read. */
  scm: 8 * 1024 * 1024,
} as const;

/**
 * The one way to HTTP. As the SDKs' own client, but no answer is kept beyond `maxBytes`: the connection is ended there and the call fails with
 * `azure/failed`. A body that is sent and breaks off (a file that changed) ends the request with the body's own error; a body that was not
 * read to its end is destroyed, with the files that it holds open. Answers that are asked for as streams are passed on as they come.
 */
export function boundedHttpClient(maxBytes: number): HttpClient {
  const client = createDefaultHttpClient();
  return {
    sendRequest: async (request) => {
      const upload = watchedUpload(request);
      try {
        const response = await client.sendRequest(asStream(request, upload));
        return await withText(request, response, (body) => readBounded(body, maxBytes, request));
      } catch (error) {
        throw upload?.failure ?? error;
      } finally {
        upload?.end();
      }
    },
  };
}

/** What a client that judges an answer itself gets of it: what came before one of the limits. */
export interface BeginningOfAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Why the body is not whole. */
  readonly cut?: "size" | "time";
}

/**
 * Sends a request and takes what comes of the body until `maxBytes` or, from its headers on, `maxMs`; then the connection is ended.
 * For answers of which the status says the most: an event stream has no end.
 */
export async function sendForBeginning(
  client: HttpClient,
  request: PipelineRequest,
  { maxBytes, maxMs }: { readonly maxBytes: number; readonly maxMs: number },
): Promise<BeginningOfAnswer> {
  request.streamResponseStatusCodes = ANY_STATUS;
  const { status, headers, readableStreamBody } = await client.sendRequest(request);
  const answer = { status, headers: headers.toJSON() };
  if (!readableStreamBody) return { ...answer, body: "" };
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isLate = false;
  const body = readableOf(readableStreamBody);
  const timer = setTimeout(() => {
    isLate = true;
    body.destroy();
  }, maxMs);
  const soFar = (): string => Buffer.concat(chunks).toString("utf8");
  try {
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (bytes > maxBytes) return { ...answer, body: soFar(), cut: "size" };
    }
    return { ...answer, body: soFar() };
  } catch (error) {
    if (isLate) return { ...answer, body: soFar(), cut: "time" };
    throw error;
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

/** To the client below: any status. */
const ANY_STATUS = new Set([Number.POSITIVE_INFINITY]);

interface Upload {
  readonly body: () => Readable;
  readonly signal: AbortSignal;
  /** What the body broke off with. */
  readonly failure: unknown;
  /** Ends what still goes on: a refusal may come before the last byte was sent. */
  end(): void;
}

/** The client below pipes a body into the socket and listens to no error of it: the process would end with the first. */
function watchedUpload({ body }: PipelineRequest): Upload | undefined {
  if (typeof body !== "function") return undefined;
  const stop = new AbortController();
  let stream: Readable | undefined;
  let failure: unknown;
  return {
    signal: stop.signal,
    get failure() {
      return failure;
    },
    body: () => {
      const made = body();
      if (!(made instanceof Readable)) throw new TypeError("only streams of Node are sent");
      made.on("error", (error) => {
        failure ??= error;
        stop.abort();
      });
      stream = made;
      return made;
    },
    end: () => {
      if (stream === undefined || stream.readableEnded) return;
      stop.abort();
      stream.destroy();
    },
  };
}

/** A copy to send. Not compressed: an unpacked answer says nothing of a connection that breaks, and a small one may unpack to any size. */
function asStream(request: PipelineRequest, upload: Upload | undefined): PipelineRequest {
  const headers = createHttpHeaders(request.headers.toJSON({ preserveCase: true }));
  headers.delete("accept-encoding");
  const signals = [request.abortSignal, upload?.signal].filter((signal) => signal instanceof AbortSignal);
  return {
    ...request,
    headers,
    streamResponseStatusCodes: ANY_STATUS,
    ...(upload && { body: upload.body, abortSignal: AbortSignal.any(signals) }),
  };
}

async function withText(
  request: PipelineRequest,
  response: PipelineResponse,
  read: (body: NodeJS.ReadableStream) => Promise<string>,
): Promise<PipelineResponse> {
  const { readableStreamBody, ...rest } = response;
  // The SDKs look their notes up by the request that they made.
  const answer: PipelineResponse = { ...rest, request };
  if (!readableStreamBody) return answer;
  const wanted = request.streamResponseStatusCodes;
  if (wanted?.has(Number.POSITIVE_INFINITY) || wanted?.has(response.status)) return { ...answer, readableStreamBody };
  return { ...answer, bodyAsText: await read(readableStreamBody) };
}

async function readBounded(body: NodeJS.ReadableStream, maxBytes: number, request: PipelineRequest): Promise<string> {
  const stream = readableOf(body);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLong(request, maxBytes);
      chunks.push(Buffer.from(chunk));
    }
  } catch (error) {
    if (error instanceof KnownError || (error instanceof Error && error.name === "AbortError")) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new RestError(`the answer broke off: ${words}`, { code: RestError.PARSE_ERROR, request });
  } finally {
    stream.destroy();
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readableOf(body: NodeJS.ReadableStream): Readable {
  if (!(body instanceof Readable)) throw new TypeError("only streams of Node are read");
  return body;
}

function tooLong({ url, method }: PipelineRequest, maxBytes: number): KnownError {
  return new KnownError(
    "azure/failed",
    `${new URL(url).host} answered a ${method} with more than ${maxBytes / 1024 ** 2} MB: not read further`,
    {
      hint: hints.foreignAnswer,
    },
  );
}
