import { GatewayError } from "../errors.ts";
import { whyNot } from "../interactions/authentication.ts";
import { authenticateClient, clientIdOf, issueAccessToken } from "../interactions/tokens.ts";
import { lookupDigest } from "../secrets.ts";
import type { Client } from "../store/tokens.ts";
import { parseBasic, takeLogin, type UserAndPassword } from "./authentication.ts";
import { mediaTypeOf } from "./body.ts";
import type { Answer, Call, Route } from "./call.ts";
import type { AddressRate } from "../address-rate.ts";
import { parseQuery } from "./query.ts";
import { protocolOf } from "./refused-request.ts";

/** RFC 6749 §5.2. */
type OauthError =
  | "invalid_request"
  | "invalid_client"
  | "invalid_grant"
  | "unsupported_grant_type"
  | "invalid_scope";

/** RFC 6749 §4.4 and RFC 7009. */
export function makeOauthRoutes(failures: AddressRate): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/oauth2/token",
      audit: "token.issue",
      scopes: "none",
      answer: async (call) => answerForm(call, failures, issueToken),
    },
    {
      method: "POST",
      path: "/oauth2/revoke",
      audit: "token.revoke",
      scopes: "none",
      answer: async (call) => answerForm(call, failures, revokeToken),
    },
  ];
}

/** Parameters of a form. RFC 6749 §3.2: an empty one is as if left out. */
type Form = ReadonlyMap<string, string>;

/** Thrown and caught in this file only: what the client is told. */
class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, error: OauthError, description: string) {
    super(description);
    this.answer = { status, body: { error, error_description: description } };
  }
}

async function answerForm(
  call: Call,
  failures: AddressRate,
  answer: (call: Call, client: Client, form: Form) => Answer,
): Promise<Answer> {
  const headers = { Pragma: "no-cache" }; // RFC 6749 §5.1 asks for it.
  try {
    const form = await readForm(call);
    const client = authenticate(call, failures, form);
    const audit = { principal: clientIdOf(client) };
    return { ...answer(call, client, form), headers, audit };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const challenge = thrown.answer.status === 401 ? { "WWW-Authenticate": BASIC } : {};
    return { ...thrown.answer, headers: { ...headers, ...challenge } };
  }
}

const BASIC = 'Basic realm="sluice", charset="UTF-8"';
const FORM_TYPE = "application/x-www-form-urlencoded";

async function readForm(call: Call): Promise<Form> {
  if (mediaTypeOf(call) !== FORM_TYPE) {
    throw new GatewayError("unsupported-media-type", `expected ${FORM_TYPE}`);
  }
  const form = new Map<string, string>();
  const text = new TextDecoder("utf-8", { fatal: true });
  try {
    for (const [name, values] of parseQuery(text.decode(await call.readBody()))) {
      const [value = "", ...more] = values;
      if (more.length > 0) throw new Refusal(400, "invalid_request", `${name} is given twice`);
      if (value !== "") form.set(name, value);
    }
  } catch (error) {
    if (error instanceof TypeError || isBadEncoding(error)) {
      throw new Refusal(400, "invalid_request", "the form is not percent-encoded UTF-8");
    }
    throw error;
  }
  return form;
}

function isBadEncoding(error: unknown): boolean {
  return error instanceof GatewayError && error.code === "invalid-parameter";
}

/** By Basic or by the form, not by both (RFC 6749 §2.3). */
function authenticate(call: Call, failures: AddressRate, form: Form): Client {
  const given = givenCredentials(call, form);
  takeLogin(failures, call.address, given?.user);
  const client =
    given === undefined ? undefined : authenticateClient(call.deps, given.user, given.password);
  if (client === undefined) {
    noteRefusal(call, given?.user);
    throw new Refusal(401, "invalid_client", "the client id or the secret is wrong");
  }
  failures.giveBack(call.address);
  return client;
}

/** RFC 6749 has an answer of its own for it, which is no problem document. */
function noteRefusal({ deps, address, channel, path }: Call, user: string | undefined): void {
  deps.refusals.note({
    cause: user === undefined ? "no-credentials" : whyNot(deps, user),
    protocol: protocolOf(channel),
    address,
    ...(user === undefined ? {} : { user }),
    topic: path,
    detail: "the client id or the secret is wrong",
  });
}

function givenCredentials(call: Call, form: Form): UserAndPassword | undefined {
  const [id, secret] = [form.get("client_id"), form.get("client_secret")];
  const [, credentials] = /^basic +(\S+) *$/i.exec(call.header("authorization") ?? "") ?? [];
  if (credentials === undefined) {
    return id === undefined || secret === undefined ? undefined : { user: id, password: secret };
  }
  const basic = parseBasic(credentials);
  if (secret !== undefined || (id !== undefined && id !== basic?.user)) {
    throw new Refusal(400, "invalid_request", "the client is named twice");
  }
  return basic;
}

function issueToken(call: Call, client: Client, form: Form): Answer {
  const grantType = form.get("grant_type");
  if (grantType === undefined) {
    throw new Refusal(400, "invalid_request", "grant_type is missing");
  }
  if (grantType !== "client_credentials") {
    throw new Refusal(400, "unsupported_grant_type", "grant_type must be client_credentials");
  }
  const asked = (form.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
  const issued = issueAccessToken(call.deps, client, asked);
  if (issued === undefined) {
    throw new Refusal(400, "invalid_scope", "the client has not all of these scopes");
  }
  return {
    status: 200,
    body: {
      access_token: issued.text,
      token_type: "bearer",
      expires_in: issued.lifeS,
      scope: issued.token.scopes.join(" "),
    },
  };
}

/** RFC 7009 §2.2: a token that is not known is revoked already. */
function revokeToken(call: Call, client: Client, form: Form): Answer {
  const text = form.get("token");
  if (text === undefined) throw new Refusal(400, "invalid_request", "token is missing");
  const { tokens } = call.deps.store;
  const token = tokens.byDigest(lookupDigest(text));
  if (token !== undefined && token.client !== client.ulid) {
    throw new Refusal(400, "invalid_grant", "the token was issued to another client");
  }
  if (token !== undefined) tokens.delete(token);
  return { status: 200, body: {} };
}
