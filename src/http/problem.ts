import { ERRORS, GatewayError, type ErrorCode } from "../errors.ts";
import { withoutTokens } from "../secrets.ts";
import type { JsonObject } from "../thing/json.ts";
import type { Answer } from "./call.ts";

const CHALLENGE = 'Bearer realm="sluice", Basic realm="sluice", charset="UTF-8"';

/** An error as RFC 9457 has it. `detail` and `faults` were written to be shown. */
export function problemAnswer(error: GatewayError, requestId: string): Answer {
  const { status } = ERRORS[error.code];
  return {
    status,
    mediaType: "application/problem+json",
    headers: errorHeaders(error, status),
    body: problem(error.code, withoutTokens(error.message), {
      ...(error.faults.length === 0 ? {} : { errors: error.faults }),
      requestId,
    }),
  };
}

/** What every error answer carries besides its body. */
export function errorHeaders(error: GatewayError, status: number): Record<string, string> {
  return {
    ...(status === 401 ? { "WWW-Authenticate": CHALLENGE } : {}),
    ...(error.retryAfterS === undefined ? {} : { "Retry-After": String(error.retryAfterS) }),
  };
}

export function problem(code: ErrorCode, detail: string, more: JsonObject = {}): JsonObject {
  const { title, status } = ERRORS[code];
  return { type: `/problems/${code}`, title, status, detail, code, ...more };
}

/** Anything thrown as an error that can be told. What nobody foresaw is `internal`, without details. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return new GatewayError("internal", "the request could not be answered", { cause: thrown });
}
