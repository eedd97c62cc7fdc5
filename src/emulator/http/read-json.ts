import { isDeeperThan } from "../../base/json.ts";
import { type ArmError, armError } from "./arm-error.ts";

/** JSON bodies above this are refused with 413, as ARM does (its code and text from memory of its users' reports). */
const LIMIT_BYTES = 4 * 1024 * 1024;
/** Json.NET, which ARM's own front end reads with, stops at 64 levels (inferred for ARM); nothing that is kept may be deeper than it can be written. */
const LIMIT_DEPTH = 64;

/** A JSON body; `undefined` when there is none. Throws 400 for what is not JSON or too deep, 413 for what is too long. */
export async function readJson(stream: ReadableStream<Uint8Array> | null): Promise<unknown> {
  if (!stream) return undefined;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.byteLength;
    if (size > LIMIT_BYTES) {
      throw armError(413, "RequestContentTooLarge", `The request content size exceeds the maximum size of ${LIMIT_BYTES} bytes.`);
    }
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString("utf8");
  if (text.trim() === "") return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : "");
  }
  if (isDeeperThan(body, LIMIT_DEPTH)) throw invalid(`The reader's MaxDepth of ${LIMIT_DEPTH} has been exceeded.`);
  return body;
}

function invalid(detail: string): ArmError {
  return armError(400, "InvalidRequestContent", `The request content was invalid and could not be deserialized: '${detail}'.`);
}
