import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { authoriseInGateway } from "../interactions/authorise.ts";
import * as users from "../interactions/users.ts";
import type { User } from "../store/users.ts";
import { ROLE_NAMES } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { takeLogin } from "./authentication.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";
import { requireSecure } from "./secure-channel.ts";

const ALL = "/gateway/users";
const ONE = "/gateway/users/:name";
const READ = ["gateway.read"] as const;
const MANAGE = ["gateway.manage"] as const;
/** Everybody who can log in may change his own password: every role has the second. */
const ANY = ["gateway.manage", "thing.read"] as const;

export const userRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listUsers },
  { method: "GET", path: ONE, scopes: READ, answer: getUser },
  { method: "PUT", path: ONE, audit: "user.change", scopes: MANAGE, answer: putUser },
  { method: "DELETE", path: ONE, audit: "user.delete", scopes: MANAGE, answer: removeUser },
  {
    method: "PUT",
    path: `${ONE}/password`,
    audit: "user.password",
    scopes: ANY,
    answer: putPassword,
  },
];

function listUsers(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const page = pageById(
    call.deps.store.users.all(),
    readPageRequest(call.query),
    ({ name }) => name,
  );
  return listAnswer(call, page, render);
}

function getUser(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  return shown(users.requireUser(call.deps, param(call, "name")), 200);
}

const role = z.enum(ROLE_NAMES, `must be one of ${ROLE_NAMES.join(", ")}`);
const wantedUser = z.strictObject({
  role,
  password: z.string("must be a string").exactOptional(),
});

/** Makes a person, or changes one: without a password it stays. */
async function putUser(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const name = param(call, "name");
  const body = parseBody(wantedUser, await jsonBody(call));
  if (body.password !== undefined) requireSecure(call);
  const before = presentUser(call, name);
  const stillSo = async (): Promise<void> => {
    await call.stillEntitled();
    presentUser(call, name);
  };
  if (before === undefined) {
    if (body.password === undefined) {
      const faults = [{ pointer: "/password", detail: "is missing: a new user needs one" }];
      throw new GatewayError("malformed", "a new user needs a password", { faults });
    }
    const wanted = { name, ...body, password: body.password };
    const made = await users.createUser(call.deps, wanted, stillSo);
    return shown(made, 201);
  }
  return shown(await users.changeUser(call.deps, name, body, stillSo), 200);
}

/** Whoever has this name now. @throws GatewayError `precondition-failed`. */
function presentUser({ deps, preconditions }: AuthorisedCall, name: string): User | undefined {
  const user = deps.store.users.get(name);
  requireMatch(preconditions, ...(user === undefined ? [] : [etagOf(user)]));
  return user;
}

function removeUser(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.manage");
  const user = users.requireUser(call.deps, param(call, "name"));
  requireMatch(call.preconditions, etagOf(user));
  users.deleteUser(call.deps, user);
  return { status: 204 };
}

const wantedPassword = z.strictObject({
  password: z.string("must be a string"),
  current: z.string("must be a string").exactOptional(),
});

/** Of oneself, with the present one; or, for whoever manages the box, of anybody. */
async function putPassword(call: AuthorisedCall): Promise<Answer> {
  requireSecure(call);
  const name = param(call, "name");
  const isOwn = users.nameOfUser(call.principal) === name;
  if (!isOwn) authoriseInGateway(call.principal, "gateway.manage");
  const { password, current } = parseBody(wantedPassword, await jsonBody(call));
  const user = users.requireUser(call.deps, name);
  if (isOwn) {
    // Whoever has got hold of a session must not find out the password with it.
    takeLogin(call.deps.loginFailures, call.address, name);
    const given = { password: current ?? "", address: call.address };
    if ((await users.authenticateUser(call.deps, user, given)) === undefined) {
      const faults = [{ pointer: "/current", detail: "is not the present password" }];
      throw new GatewayError("forbidden", "the present password is wrong", { faults });
    }
    call.deps.loginFailures.giveBack(call.address);
  }
  await users.changeUser(call.deps, name, { password }, call.stillEntitled);
  return { status: 204 };
}

function shown(user: User, status: 200 | 201): Answer {
  return {
    status,
    body: render(user),
    etag: etagOf(user),
    ...(status === 201 ? { headers: { Location: `${ALL}/${user.name}` } } : {}),
  };
}

function etagOf({ revision, created }: User): string {
  return `${revision}-${created.toString(36)}`;
}

function render({ name, role: of, created }: User): JsonObject {
  return { name, role: of, created: formatTime(created) };
}
