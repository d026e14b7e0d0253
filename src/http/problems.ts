import { ERRORS, GatewayError, type ErrorCode } from "../errors.ts";
import { param, type Answer, type Call, type Route } from "./call.ts";

/** What the `type` of every problem leads to. */
export const problemRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/problems/:code",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getProblem,
  },
];

function getProblem(call: Call): Answer {
  const code = param(call, "code");
  if (!isErrorCode(code)) throw new GatewayError("not-found", `there is no problem ${code}`);
  const { title, status, remedy } = ERRORS[code];
  return { status: 200, body: { type: `/problems/${code}`, code, title, status, remedy } };
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
