import type Koa from "koa";
import type { Peer } from "../channel.ts";
import { readBody } from "./body.ts";
import type { BrowserSigns } from "./browser-requests.ts";
import type { Call, HttpDeps } from "./call.ts";
import { readPreconditions } from "./preconditions.ts";
import { parseQuery } from "./query.ts";

/** What the router adds to a context: the segments of the path that the route names. */
export type Params = { readonly params: Record<string, string> };

/**
 * What a resource is given of a request.
 * @throws GatewayError `invalid-parameter`, `malformed`.
 */
export function makeCall(deps: HttpDeps, context: Koa.Context & Params, peer: Peer): Call {
  const header = (name: string): string | undefined => headerOf(context, name);
  return {
    deps,
    method: context.method,
    path: context.path,
    params: new Map(Object.entries(context.params)),
    query: parseQuery(context.querystring),
    preconditions: readPreconditions(header),
    address: peer.address,
    channel: peer.channel,
    certificate: peer.certificate,
    host: hostOf(context),
    header,
    preferred: (mediaTypes) => {
      const accepted = context.accepts([...mediaTypes]);
      return typeof accepted === "string" ? accepted : undefined;
    },
    readBody: async () => readBody(context.req, context.res, deps.limits.http_body_bytes),
  };
}

export function headerOf(context: Koa.Context, name: string): string | undefined {
  const value = context.req.headers[name];
  return typeof value === "string" ? value : undefined;
}

export function browserSigns(context: Koa.Context): BrowserSigns {
  return {
    method: context.method,
    isTls: context.secure,
    host: headerOf(context, "host"),
    origin: headerOf(context, "origin"),
    fetchSite: headerOf(context, "sec-fetch-site"),
    hasCookie: context.req.headers.cookie !== undefined,
  };
}

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/;

/** The header Host, if it can stand in a URI. */
function hostOf(context: Koa.Context): string {
  const given = headerOf(context, "host") ?? "";
  if (HOST.test(given)) return given;
  const { localAddress = "localhost", localPort = 80 } = context.req.socket;
  return `${localAddress.includes(":") ? `[${localAddress}]` : localAddress}:${localPort}`;
}

const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;

export function incomingRequestId(context: Koa.Context): string | undefined {
  const given = headerOf(context, "x-request-id");
  return given !== undefined && SANE_REQUEST_ID.test(given) ? given : undefined;
}

/** Unique in the log: a random name of this start, and a count. */
export function requestIds({ random }: HttpDeps): () => string {
  const start = Buffer.from(random.bytes(6)).toString("hex");
  let count = 0;
  return () => {
    count += 1;
    return `${start}-${count.toString(36)}`;
  };
}
