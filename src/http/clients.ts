import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { findAccount } from "../interactions/accounts.ts";
import { authoriseInGateway } from "../interactions/authorise.ts";
import { clientIdOf, createClient, deleteClient } from "../interactions/tokens.ts";
import type { Client } from "../store/tokens.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { descriptionMember, scopesMember } from "./body-members.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";
import { requireGivable } from "./tokens.ts";

const ALL = "/:account/clients";
const ONE = "/:account/clients/:client";
const READ = ["gateway.read"] as const;
const MANAGE = ["gateway.manage"] as const;

export const clientRoutes: readonly Route[] = [
  { method: "POST", path: ALL, audit: "client.create", scopes: MANAGE, answer: postClient },
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listClients },
  { method: "GET", path: ONE, scopes: READ, answer: getClient },
  { method: "DELETE", path: ONE, audit: "client.delete", scopes: MANAGE, answer: removeClient },
];

const wanted = z.strictObject({
  scopes: scopesMember,
  description: descriptionMember.exactOptional(),
});

/** The secret is in this one answer. */
async function postClient(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const account = param(call, "account");
  findAccount(call.deps, account);
  const body = parseBody(wanted, await jsonBody(call));
  requireGivable(call.principal, account, body.scopes);
  findAccount(call.deps, account); // It may have been deleted while the body arrived.
  const { client, secret } = createClient(call.deps, { account, ...body });
  return {
    status: 201,
    body: { ...render(client), client_secret: secret },
    etag: client.ulid,
    headers: { Location: `/${account}/clients/${encodeURIComponent(clientIdOf(client))}` },
  };
}

function listClients(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const { name } = findAccount(call.deps, param(call, "account"));
  const all = call.deps.store.clients.ofAccount(name);
  const page = pageById(all, readPageRequest(call.query), ({ ulid }) => ulid);
  return listAnswer(call, page, render);
}

function getClient(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const client = findClient(call);
  return { status: 200, body: render(client), etag: client.ulid };
}

/** Every token it was issued is revoked with it. */
function removeClient(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.manage");
  const client = findClient(call);
  requireMatch(call.preconditions, client.ulid);
  deleteClient(call.deps, client);
  return { status: 204 };
}

/** By its client id, or by the ULID in it. */
function findClient(call: AuthorisedCall): Client {
  const { name } = findAccount(call.deps, param(call, "account"));
  const id = param(call, "client");
  const client = call.deps.store.clients.get(id.replace(/^app::/, ""));
  if (client?.account === name) return client;
  throw new GatewayError("not-found", `${name} has no client ${id}`);
}

function render(client: Client): JsonObject {
  const { scopes, description, created } = client;
  return {
    client_id: clientIdOf(client),
    scopes,
    description: description ?? null,
    created: formatTime(created),
  };
}
