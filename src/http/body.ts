import type { IncomingMessage, ServerResponse } from "node:http";
import getRawBody from "raw-body";
import { z } from "zod";
import { GatewayError, type Fault } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { parseJson } from "../thing/data-schema.ts";
import { pointerTo, type Json } from "../thing/json.ts";
import type { Call } from "./call.ts";

/**
 * Reads a body of at most `bytesMax`. Of a larger one nothing is kept: what is still under way is
 * thrown away for a while, so that the client reads the answer, and then the connection ends.
 * @throws GatewayError `too-large`, `unsupported-media-type`, `malformed`.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  bytesMax: number,
): Promise<Uint8Array> {
  const { expect, "content-encoding": encoding, "content-length": length } = request.headers;
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw new GatewayError(
      "unsupported-media-type",
      "a body is sent as it is: no Content-Encoding",
    );
  }
  const tooLarge = `the body has more than ${bytesMax} bytes (limits.http_body_bytes)`;
  if (length !== undefined && Number(length) > bytesMax) {
    discard(request, bytesMax);
    throw new GatewayError("too-large", tooLarge);
  }
  if (expect !== undefined) response.writeContinue();
  try {
    return await getRawBody(request, { limit: bytesMax, length: length ?? null });
  } catch (cause) {
    discard(request, bytesMax);
    if (cause instanceof Error && "type" in cause && cause.type === "entity.too.large") {
      throw new GatewayError("too-large", tooLarge);
    }
    throw new GatewayError("malformed", "the body did not arrive whole", { cause });
  }
}

function discard(request: IncomingMessage, bytesMax: number): void {
  let left = bytesMax * FIXED_LIMITS.httpDiscardedBodiesMax;
  request.on("data", (chunk: Uint8Array) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.on("error", () => undefined);
  request.resume();
}

/** What clients call JSON, knowingly or not: curl and browsers say these if nobody tells them. */
const TAKEN_FOR_JSON = /^(|[^;]*[/+]json|application\/x-www-form-urlencoded|text\/plain)$/;
const UTF8 = /^(utf-?8|us-ascii)$/;

/** The media type without its parameters, in lower case; empty if none is given. */
export function mediaTypeOf(call: Pick<Call, "header">): string {
  const [type = ""] = (call.header("content-type") ?? "").split(";");
  return type.trim().toLowerCase();
}

/**
 * @throws GatewayError `unsupported-media-type`, `not-json`, `malformed`, and as `readBody`.
 */
export async function jsonBody(call: Call): Promise<Json> {
  const value = await optionalJsonBody(call);
  if (value !== undefined) return value;
  throw new GatewayError("not-json", "the body is empty: expected one JSON text");
}

/** Like `jsonBody`; `undefined` for an empty body. */
export async function optionalJsonBody(call: Call): Promise<Json | undefined> {
  requireJsonType(call);
  const bytes = await call.readBody();
  if (bytes.length === 0) return undefined;
  const parsed = parseJson(bytes);
  if (parsed.ok) return parsed.value;
  throw new GatewayError(parsed.code, `the body ${parsed.detail}`);
}

function requireJsonType(call: Call): void {
  const type = mediaTypeOf(call);
  const charset = /;\s*charset="?([^";\s]+)/i.exec(call.header("content-type") ?? "")?.[1];
  if (TAKEN_FOR_JSON.test(type) && (charset === undefined || UTF8.test(charset.toLowerCase()))) {
    return;
  }
  const detail = `expected application/json in UTF-8, not ${type} ${charset ?? ""}`.trim();
  throw new GatewayError("unsupported-media-type", detail);
}

/**
 * Reads a body of a fixed shape.
 * @throws GatewayError `unknown-member` if that is all that is wrong, `malformed`, as `jsonBody`.
 */
export function parseBody<Shape>(schema: z.ZodType<Shape>, body: Json): Shape {
  const outcome = schema.safeParse(body);
  if (outcome.success) return outcome.data;
  const unknown: Fault[] = [];
  const wrong: Fault[] = [];
  for (const issue of outcome.error.issues) {
    const pointer = issue.path.reduce<string>((at, step) => pointerTo(at, String(step)), "");
    if (issue.code === "unrecognized_keys") {
      const detail = "is not a known member here";
      unknown.push(...issue.keys.map((key) => ({ pointer: pointerTo(pointer, key), detail })));
    } else {
      wrong.push({ pointer, detail: issue.message });
    }
  }
  const code = wrong.length === 0 ? "unknown-member" : "malformed";
  const faults = [...wrong, ...unknown];
  const first = faults.map(({ pointer, detail }) => `${pointer} ${detail}`.trim())[0] ?? "";
  throw new GatewayError(code, `the body has another shape than expected: ${first}`, { faults });
}
