import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { authoriseInGateway } from "../interactions/authorise.ts";
import { whyNot } from "../interactions/authentication.ts";
import { liveSessions, openBrowserSession } from "../interactions/browser-sessions.ts";
import { logInUser, nameOfUser } from "../interactions/users.ts";
import type { AddressRate } from "../address-rate.ts";
import type { BrowserSession } from "../store/browser-sessions.ts";
import { ROLES } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { takeLogin } from "./authentication.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Call, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireSecure } from "./secure-channel.ts";
import { clearedCookie, sessionCookie, sessionOfCookie } from "./session-cookie.ts";

const ALL = "/gateway/sessions";
const ONE = "/gateway/sessions/:ulid";
/** Everybody who can log in may see and end his own: every role has the second. */
const ANY = ["gateway.manage", "thing.read"] as const;

export function makeSessionRoutes(failures: AddressRate): readonly Route[] {
  return [
    {
      method: "POST",
      path: ALL,
      audit: "session.open",
      scopes: "none",
      answer: async (call) => logIn(call, failures),
    },
    { method: "GET", path: ALL, scopes: ANY, query: PAGE_PARAMETERS, answer: listSessions },
    { method: "DELETE", path: ONE, audit: "session.end", scopes: ANY, answer: endSession },
  ];
}

const wanted = z.strictObject({
  user: z.string("must be a string"),
  password: z.string("must be a string"),
});

/** The cookie is in this one answer. */
async function logIn(call: Call, failures: AddressRate): Promise<Answer> {
  requireSecure(call);
  const { user: name, password } = parseBody(wanted, await jsonBody(call));
  takeLogin(failures, call.address, name);
  const user = await logInUser(call.deps, { name, password, address: call.address });
  if (user === undefined) {
    throw new GatewayError("unauthorized", "the user or the password is wrong", {
      refusal: { cause: whyNot(call.deps, name), user: name },
    });
  }
  failures.giveBack(call.address);
  const agent = call.header("user-agent") ?? "";
  const { session, text } = openBrowserSession(call.deps, user.name, {
    address: call.address,
    agent,
  });
  return {
    status: 201,
    headers: { Location: `${ALL}/${session.ulid}`, "Set-Cookie": sessionCookie(text) },
    audit: { principal: `user ${user.name}` },
    body: { ...render(session), role: user.role, scopes: ROLES[user.role] },
  };
}

/** Whoever manages the box sees all of them, the others their own. */
function listSessions(call: AuthorisedCall): Answer {
  requirePerson(call);
  const sessions = liveSessions(call.deps).filter((session) => mayEnd(call, session));
  const page = pageById(sessions, readPageRequest(call.query), ({ ulid }) => ulid);
  return listAnswer(call, page, render);
}

/** Ended at once. `current` is the one of the request's cookie. */
function endSession(call: AuthorisedCall): Answer {
  requirePerson(call);
  const ulid = param(call, "ulid");
  const session =
    ulid === "current" ? sessionOfCookie(call) : call.deps.store.browserSessions.get(ulid);
  if (session === undefined || !mayEnd(call, session)) {
    throw new GatewayError("not-found", `there is no session ${ulid}`);
  }
  call.deps.store.browserSessions.delete(session);
  return {
    status: 204,
    ...(ulid === "current" ? { headers: { "Set-Cookie": clearedCookie() } } : {}),
  };
}

/** A program has no sessions; it may manage those of people. @throws GatewayError `forbidden`. */
function requirePerson({ principal }: AuthorisedCall): void {
  if (nameOfUser(principal) === undefined) authoriseInGateway(principal, "gateway.manage");
}

function mayEnd({ principal }: AuthorisedCall, session: BrowserSession): boolean {
  if (nameOfUser(principal) === session.user) return true;
  try {
    authoriseInGateway(principal, "gateway.manage");
    return true;
  } catch {
    return false;
  }
}

function render({ ulid, user, created, agent, lastUsed, idle, end }: BrowserSession): JsonObject {
  return {
    ulid,
    user,
    created: formatTime(created),
    last_used: formatTime(lastUsed.at),
    address: lastUsed.address,
    agent,
    expires_at: formatTime(Math.min(idle.at, end.at)),
  };
}
