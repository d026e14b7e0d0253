import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { deleteAccount, findAccount, putAccount } from "../interactions/accounts.ts";
import { authoriseInGateway } from "../interactions/authorise.ts";
import type { Account } from "../store/accounts.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../thing/json.ts";
import { isAccountName } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import { descriptionMember } from "./body-members.ts";
import { optionalJsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";
import { flag } from "./query.ts";

const ALL = "/gateway/accounts";
const ONE = "/gateway/accounts/:account";
const READ = ["gateway.read"] as const;
const MANAGE = ["gateway.manage"] as const;

export const accountRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listAccounts },
  { method: "GET", path: ONE, scopes: READ, answer: getAccount },
  { method: "PUT", path: ONE, audit: "account.change", scopes: MANAGE, answer: replaceAccount },
  {
    method: "DELETE",
    path: ONE,
    audit: "account.delete",
    scopes: MANAGE,
    query: ["force"],
    answer: removeAccount,
  },
];

function listAccounts(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const { store } = call.deps;
  const page = pageById(store.accounts.all(), readPageRequest(call.query), ({ name }) => name);
  return listAnswer(call, page, (account) => render(store, account));
}

function getAccount(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const account = findAccount(call.deps, param(call, "account"));
  return { status: 200, body: render(call.deps.store, account), etag: etagOf(account) };
}

const wanted = z.strictObject({ description: descriptionMember.exactOptional() });

async function replaceAccount(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const name = param(call, "account");
  if (!isAccountName(name)) {
    const detail = "an account is named with 1 to 64 of A-Z a-z 0-9 _ -, and no reserved word";
    throw new GatewayError("malformed", detail);
  }
  const body = parseBody(wanted, (await optionalJsonBody(call)) ?? {});
  requireAccountMatch(call, name);
  const { account, created } = putAccount(call.deps, name, body);
  return {
    status: created ? 201 : 200,
    body: render(call.deps.store, account),
    etag: etagOf(account),
    ...(created ? { headers: { Location: `/gateway/accounts/${name}` } } : {}),
  };
}

function removeAccount(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.manage");
  const { name } = findAccount(call.deps, param(call, "account"));
  requireAccountMatch(call, name);
  deleteAccount(call.deps, name, { force: flag(call.query, "force") });
  return { status: 204 };
}

function requireAccountMatch(call: AuthorisedCall, name: string): void {
  const present = call.deps.store.accounts.get(name);
  if (present === undefined) requireMatch(call.preconditions);
  else requireMatch(call.preconditions, etagOf(present));
}

/** Revisions of an account that was deleted and made anew begin at 1 again. */
function etagOf({ created, revision }: Account): string {
  return `${created}-${revision}`;
}

function render(store: Pick<Store, "things">, account: Account): JsonObject {
  const { name, description, created } = account;
  return {
    account: name,
    description: description ?? null,
    created: formatTime(created),
    things: store.things.countOfAccount(name),
  };
}
