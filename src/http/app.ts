import type { Duplex } from "node:stream";
import Koa from "koa";
import type { Peer } from "../channel.ts";
import { ERRORS, GatewayError } from "../errors.ts";
import { withoutTokens } from "../secrets.ts";
import type { StillEntitled } from "../interactions/authorise.ts";
import { hasSameRights, isOfAccount, type Principal } from "../thing/access.ts";
import { isAccountName } from "../thing/thing.ts";
import { makeAuthenticator, type Authenticator } from "./authentication.ts";
import { requireOwnPage } from "./browser-requests.ts";
import { trailOf, type Trail } from "./audit-trail.ts";
import type { Answer, Call, HttpDeps, Route } from "./call.ts";
import {
  browserSigns,
  headerOf,
  incomingRequestId,
  makeCall,
  requestIds,
  type Params,
} from "./incoming.ts";
import { prepare, send } from "./outgoing.ts";
import { isUnmodified } from "./preconditions.ts";
import { problemAnswer, toGatewayError } from "./problem.ts";
import { requireKnown } from "./query.ts";
import { methodsOfPath, routing } from "./router.ts";
import { refusalOf } from "./refused-request.ts";
import { makeRoutes } from "./routes.ts";
import { turnEnds } from "./turn-end.ts";

/** What is asked of every request besides its route. */
export type AppState = {
  readonly isStopping: () => boolean;
  readonly peerOf: (socket: Duplex) => Peer;
};

type Edge = {
  readonly deps: HttpDeps;
  readonly authenticate: Authenticator;
  readonly state: AppState;
};

/** The Koa application: it turns a request into a `Call`, and an `Answer` into a response. */
export function makeApp(deps: HttpDeps, state: AppState): Koa {
  const failures = deps.loginFailures;
  const edge: Edge = { deps, state, authenticate: makeAuthenticator(deps, failures) };
  const nextRequestId = requestIds(deps);
  const turnEnd = turnEnds();
  const app = new Koa();
  // The client went away: there is nobody to tell.
  app.on("error", (error: unknown) => deps.log.debug("http.connection_failed", { error }));
  app.use(async (context, next) => {
    const requestId = incomingRequestId(context) ?? nextRequestId();
    const startedMs = deps.clock.monotonicMs();
    prepare(context, requestId);
    try {
      requireOwnPage(browserSigns(context), deps.hostNames);
      await next();
    } catch (thrown) {
      send(context, await refusal(edge, context, thrown, requestId));
    }
    await turnEnd();
    if (state.isStopping()) context.set("Connection", "close");
    const { method, status } = context;
    const path = withoutTokens(context.path);
    const ms = deps.clock.monotonicMs() - startedMs;
    deps.log.debug("http.request", { requestId, method, path, status, ms });
  });
  app.use(
    routing(makeRoutes(failures), async (context, route) => {
      const { audit } = route;
      const answer =
        audit === undefined
          ? await answerRoute(edge, context, route)
          : await trailOf(audit, context, async (trail) =>
              answerRoute(edge, context, route, trail),
            );
      if (route.isStatic !== true) await durable(deps, isReadMethod(context.method));
      send(context, answer);
    }),
  );
  app.use(async (context) => answerUnrouted(edge, context));
  return app;
}

async function answerRoute(
  edge: Edge,
  context: Koa.Context & Params,
  route: Route,
  trail?: Trail,
): Promise<Answer> {
  if (edge.state.isStopping()) {
    throw new GatewayError("stopping", "the gateway takes no more requests");
  }
  if (route.whileUnclaimed !== true) requireClaimed(edge.deps);
  requireDecodable(context.path);
  const call = makeCall(edge.deps, context, edge.state.peerOf(context.req.socket));
  if (trail !== undefined) trail.call = call;
  const account = call.params.get("account");
  const isInAccount = account !== undefined && route.path.startsWith("/:account/");
  if (isInAccount && !isAccountName(account)) throw nothingAt(context.path);
  if (route.scopes === "none") {
    requireKnown(call.query, route.query ?? []);
    requireWritable(edge.deps, context.method);
    return conditional(call, await route.answer(call));
  }
  const principal = await edge.authenticate(call.header("authorization"), call);
  if (isInAccount) requireOwn(principal, account);
  requireScope(principal, route.scopes);
  requireKnown(call.query, route.query ?? []);
  requireWritable(edge.deps, context.method);
  // The call itself: a copy with one member more costs as much as all the checks here.
  const stillEntitled = entitlement(edge, call, principal);
  const readBody = bodyOfEntitled(call, stillEntitled);
  const authorised = Object.assign(call, { principal, readBody, stillEntitled });
  return conditional(call, await route.answer(authorised));
}

/**
 * A body may take a minute to arrive, and a password waits for its turn to be stretched. Who has lost his
 * rights meanwhile, or was deleted, must not have a request open that still does what he wants.
 */
function entitlement({ authenticate }: Edge, call: Call, principal: Principal): StillEntitled {
  return async () => {
    const now = await authenticate(call.header("authorization"), call);
    if (hasSameRights(now, principal)) return;
    const detail = `what ${principal.name} may do has changed while the request was under way`;
    throw new GatewayError("forbidden", detail);
  };
}

function bodyOfEntitled({ readBody }: Call, stillEntitled: StillEntitled): Call["readBody"] {
  return async () => {
    const body = await readBody();
    await stillEntitled();
    return body;
  };
}

/** A box that is nobody's says nothing of what is there, nor whether a credential is good. */
function requireClaimed({ claim }: HttpDeps): void {
  if (claim.isClaimed) return;
  throw new GatewayError("unclaimed", "the gateway serves nobody until somebody claims it");
}

/** Before it could be told from the answer whether anything is there. */
function requireOwn(principal: Principal, account: string): void {
  if (isOfAccount(principal, account)) return;
  throw new GatewayError("forbidden", `${principal.name} is not of account ${account}`);
}

function requireScope(principal: Principal, scopes: readonly string[]): void {
  if (principal.kind !== "token") return;
  for (const scope of principal.scopes) if (scopes.includes(scope)) return;
  const detail = `${principal.name} has none of the scopes ${scopes.join(", ")}`;
  throw new GatewayError("forbidden", detail);
}

async function authenticated(edge: Edge, context: Koa.Context): Promise<Principal> {
  const { deps, state } = edge;
  const header = (name: string): string | undefined => headerOf(context, name);
  const from = state.peerOf(context.req.socket);
  const { method } = context;
  return edge.authenticate(header("authorization"), { ...from, deps, header, method });
}

/**
 * Invariant: no answer leaves before everything it may show is on disk, reads and refusals included.
 * Only while the disk takes nothing reads are answered all the same.
 * @throws GatewayError `storage-full`, `storage-failed`.
 */
async function durable({ store }: HttpDeps, isRead: boolean): Promise<void> {
  await (isRead ? store.commit.caughtUp() : store.commit.flushed());
}

function isReadMethod(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/**
 * Deletions are let through while there is a reserve: they are what makes room.
 * @throws GatewayError `storage-full`, `storage-failed`.
 */
function requireWritable({ store }: HttpDeps, method: string): void {
  const { refusal, stall } = store.writability;
  const isRefused = method === "DELETE" ? stall !== undefined : refusal !== undefined;
  if (isRefused && !isReadMethod(method) && refusal !== undefined) throw refusal;
}

function conditional(call: Call, answer: Answer): Answer {
  const { status, etag } = answer;
  const isRead = isReadMethod(call.method);
  if (!isRead || status !== 200 || etag === undefined) return answer;
  if (!isUnmodified(call.preconditions, etag)) return answer;
  return {
    status: 304,
    etag,
    ...(answer.headers === undefined ? {} : { headers: answer.headers }),
  };
}

/** A path of ours with another method, or no path of ours. */
async function answerUnrouted(edge: Edge, context: Koa.Context): Promise<void> {
  requireClaimed(edge.deps);
  const methods = methodsOfPath(context);
  if (context.method === "OPTIONS" && (methods.length > 0 || context.req.url === "*")) {
    send(context, { status: 204, headers: { Allow: [...methods, "OPTIONS"].join(", ") } });
    return;
  }
  requireDecodable(context.path);
  const account = decodeURIComponent(context.path).split("/")[1] ?? "";
  // Whose account it is comes before what there is in it.
  if (isAccountName(account)) requireOwn(await authenticated(edge, context), account);
  if (methods.length === 0) throw nothingAt(context.path);
  context.set("Allow", [...methods, "OPTIONS"].join(", "));
  throw new GatewayError("method-not-allowed", `${context.path} does not take ${context.method}`);
}

function nothingAt(path: string): GatewayError {
  return new GatewayError("not-found", `there is nothing at ${path}`);
}

function requireDecodable(path: string): void {
  if (!path.includes("%")) return;
  try {
    decodeURIComponent(path);
  } catch {
    throw new GatewayError("malformed", "the path is not percent-encoded UTF-8");
  }
}

/** A refusal may show what is there, too: it waits for the disk as every answer. */
async function refusal(
  { deps, state }: Edge,
  context: Koa.Context,
  thrown: unknown,
  requestId: string,
): Promise<Answer> {
  let error = toGatewayError(thrown);
  try {
    await durable(deps, true);
  } catch (failure) {
    error = toGatewayError(failure);
  }
  const { method, path } = context;
  const refused = refusalOf(error, path, state.peerOf(context.req.socket));
  if (refused !== undefined) deps.refusals.note(refused);
  if (ERRORS[error.code].status >= 500) {
    const told = { requestId, method, path: withoutTokens(path), code: error.code };
    const fields = { ...told, error: error.cause ?? error };
    // A full disk was told of once, by the store.
    const isKnown = error.code === "stopping" || error.code === "storage-full";
    if (isKnown) deps.log.debug("http.refused", fields);
    else deps.log.error("http.failed", fields);
  }
  // Of a box that is nobody's it is not OAuth that says no.
  const isOauth = context.path.startsWith("/oauth2/") && error.code !== "unclaimed";
  return isOauth
    ? { ...problemAnswer(error, requestId), ...oauthError(error) }
    : problemAnswer(error, requestId);
}

/** RFC 6749 §5.2, for what went wrong before the resource could say so itself. */
function oauthError(error: GatewayError): Pick<Answer, "mediaType" | "body"> {
  const code = ERRORS[error.code].status >= 429 ? "temporarily_unavailable" : "invalid_request";
  return {
    mediaType: "application/json",
    body: { error: code, error_description: error.message },
  };
}
