import { GatewayError } from "../errors.ts";
import { useBrowserSession } from "../interactions/browser-sessions.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { BrowserSession } from "../store/browser-sessions.ts";
import type { Call } from "./call.ts";

/** RFC 6265bis §4.1.3.2: of this host only, over TLS, and for every path of it. */
const NAME = "__Host-sluice";

/** RFC 6265bis: no script reads it, no page elsewhere sends it. */
const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict";

export function sessionCookie(text: string): string {
  return `${NAME}=${text}; ${ATTRIBUTES}; Max-Age=${FIXED_LIMITS.sessionLifeMs / 1000}`;
}

export function clearedCookie(): string {
  return `${NAME}=; ${ATTRIBUTES}; Max-Age=0`;
}

type CookieCall = Pick<Call, "deps" | "header" | "channel" | "address" | "method">;

/**
 * The session of the cookie that came with a request; `undefined` without one, or if it has ended.
 * @throws GatewayError `forbidden`: the browser does not say that a page of the gateway sends what
 * would change something, `insecure-channel`: the cookie came where it can be read.
 */
export function sessionOfCookie(call: CookieCall): BrowserSession | undefined {
  const text = cookieOf(call.header("cookie") ?? "");
  if (text === undefined) return undefined;
  const { channel, method } = call;
  if (channel.kind === "plain" && !channel.isLoopback) {
    throw new GatewayError("insecure-channel", "a session is not taken over a plain connection");
  }
  // That they are the right ones was asked for all requests: `requireOwnPage`. Here they have to be there.
  const isSaid =
    call.header("origin") !== undefined || call.header("sec-fetch-site") === "same-origin";
  if (method !== "GET" && method !== "HEAD" && !isSaid) {
    throw new GatewayError("forbidden", "with a cookie the header Origin says which page it is");
  }
  return useBrowserSession(call.deps, text, call.address);
}

/** The first of that name: a browser sends no second one with `__Host-`. */
function cookieOf(header: string): string | undefined {
  for (const pair of header.split(";")) {
    const [name = "", ...value] = pair.trim().split("=");
    if (name === NAME) return value.join("=");
  }
  return undefined;
}
