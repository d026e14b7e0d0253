import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { authoriseInGateway, forbidden } from "../interactions/authorise.ts";
import { createToken } from "../interactions/tokens.ts";
import { ownerOf } from "../interactions/authentication.ts";
import type { Token } from "../store/tokens.ts";
import type { Principal, Scope } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { descriptionMember, scopesMember, timeMember } from "./body-members.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/gateway/tokens";
const ONE = "/gateway/tokens/:ulid";
const READ = ["gateway.read"] as const;
const MANAGE = ["gateway.manage"] as const;

export const tokenRoutes: readonly Route[] = [
  { method: "POST", path: ALL, audit: "token.create", scopes: MANAGE, answer: postToken },
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listTokens },
  { method: "GET", path: ONE, scopes: READ, answer: getToken },
  { method: "DELETE", path: ONE, audit: "token.delete", scopes: MANAGE, answer: removeToken },
];

const wanted = z.strictObject({
  account: z.string("must be the name of an account").exactOptional(),
  scopes: scopesMember,
  description: descriptionMember.exactOptional(),
  expires_at: timeMember.exactOptional(),
});

/** The text of the token is in this one answer. */
async function postToken(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const body = parseBody(wanted, await jsonBody(call));
  const { account, scopes, description, expires_at: expiresAt } = body;
  requireGivable(call.principal, account, scopes);
  const owner = ownerOf(call.deps, call.principal);
  const { token, text } = createToken(call.deps, {
    scopes,
    ...(owner === undefined ? {} : { owner }),
    ...(account === undefined ? {} : { account }),
    ...(description === undefined ? {} : { description }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  });
  return {
    status: 201,
    body: { ...render(token), token: text },
    etag: token.ulid,
    headers: { Location: `${ALL}/${token.ulid}` },
  };
}

/**
 * Nobody gives a scope that he has not; what is of one account has no say over the box.
 * @throws GatewayError `forbidden`, `malformed`.
 */
export function requireGivable(
  principal: Principal,
  account: string | undefined,
  scopes: readonly Scope[],
): void {
  for (const [index, scope] of scopes.entries()) {
    if (principal.kind !== "token" || !principal.scopes.has(scope))
      throw forbidden(principal, scope);
    if (account === undefined || !scope.startsWith("gateway.")) continue;
    const detail = "is a scope of the box: leave the account out";
    const faults = [{ pointer: `/scopes/${index}`, detail }];
    throw new GatewayError("malformed", `${scope} ${detail}`, { faults });
  }
}

function listTokens(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const all = call.deps.store.tokens.all();
  const page = pageById(all, readPageRequest(call.query), ({ ulid }) => ulid);
  return listAnswer(call, page, render);
}

function getToken(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const token = findToken(call);
  return { status: 200, body: render(token), etag: token.ulid };
}

/** Revoked at once. */
function removeToken(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.manage");
  const token = findToken(call);
  requireMatch(call.preconditions, token.ulid);
  call.deps.store.tokens.delete(token);
  return { status: 204 };
}

function findToken(call: AuthorisedCall): Token {
  const ulid = param(call, "ulid");
  const token = call.deps.store.tokens.get(ulid);
  if (token !== undefined) return token;
  throw new GatewayError("not-found", `there is no token ${ulid}`);
}

function render({
  ulid,
  account,
  scopes,
  description,
  created,
  expiresAt,
  client,
  owner,
  prefix,
  lastUsed,
}: Token): JsonObject {
  return {
    ulid,
    account: account ?? null,
    scopes,
    description: description ?? null,
    created: formatTime(created),
    expires_at: expiresAt === undefined ? null : formatTime(expiresAt),
    client_id: client === undefined ? null : `app::${client}`,
    owner: owner ?? null,
    prefix: prefix ?? null,
    last_used: lastUsed === undefined ? null : formatTime(lastUsed.at),
    last_address: lastUsed?.address ?? null,
  };
}
