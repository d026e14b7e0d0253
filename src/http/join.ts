import { z } from "zod";
import { GatewayError } from "../errors.ts";
import type { Introduction, JoinRequest } from "../interactions/join-requests.ts";
import { renewByProof } from "../interactions/key-proof.ts";
import { readPublicKey } from "../join-key.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { isAccountName } from "../thing/thing.ts";
import { isJsonObject, type JsonObject } from "../thing/json.ts";
import { readThingDescription } from "../thing/thing-description.ts";
import { formatTime } from "../thing/time.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type Call, type Route } from "./call.ts";
import { cardOf, renderCard } from "./credential-card.ts";

/** What a device calls that has no credential yet, or has lost it. */
export const joinRoutes: readonly Route[] = [
  { method: "POST", path: "/join", scopes: "none", answer: postJoin },
  { method: "GET", path: "/join/:id", scopes: "none", answer: getJoin },
  {
    method: "POST",
    path: "/join/:id/proof",
    audit: "joining.prove",
    scopes: "none",
    answer: postProof,
  },
];

const { joinTextLengthMax, joinDescriptionLengthMax } = FIXED_LIMITS;

/** A person reads it: nothing that is not seen, or that turns what follows around. */
const text = z
  .string("must be a string")
  .min(1, "must not be empty")
  .max(joinTextLengthMax, `must have at most ${joinTextLengthMax} characters`)
  .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, "must have no control characters");
const object = z.custom<JsonObject>(isJsonObject, "must be an object");

const introduction = z.strictObject({
  name: text,
  model: text.exactOptional(),
  serial: text.exactOptional(),
  thing: object.exactOptional(),
  public_key: z.union([z.string(), object], "must be PEM or a JWK").exactOptional(),
  account: z
    .string("must be a string")
    .refine(isAccountName, "must be an account name")
    .exactOptional(),
});

/** A device asks; one that is known is asked to prove that it is the one. */
async function postJoin(call: Call): Promise<Answer> {
  requireSafe(call);
  const { joining, store, clock } = call.deps;
  // Before the body is read: whoever asks too often is not listened to.
  joining.takeTurn(call.address);
  const body = parseBody(introduction, await jsonBody(call));
  const publicKey = body.public_key === undefined ? undefined : keyOf(body.public_key);
  if (publicKey !== undefined && store.credentials.byPublicKey(publicKey) !== undefined) {
    const { id, text: challenge, endsMs } = joining.challenges.issue(publicKey);
    const expires_at = formatTime(clock.wallMs() + endsMs - clock.monotonicMs());
    return { status: 200, body: { status: "known", id, challenge, expires_at } };
  }
  const { name, model, serial, thing, account } = body;
  if (thing !== undefined) requireDescription(call, thing);
  const said: Introduction = {
    name,
    ...(model === undefined ? {} : { model }),
    ...(serial === undefined ? {} : { serial }),
    ...(thing === undefined ? {} : { thing }),
    ...(publicKey === undefined ? {} : { publicKey }),
  };
  const { request, poll } = joining.ask(said, account, call.address);
  return {
    status: 202,
    body: { ...pendingObject(call, request), poll },
    headers: { Location: `/join/${request.id}` },
  };
}

/** Asked with `poll` as bearer token. The password of an approved device is in one answer. */
async function getJoin(call: Call): Promise<Answer> {
  requireSafe(call);
  const secret = /^Bearer +(\S+)$/i.exec(call.header("authorization") ?? "")?.[1] ?? "";
  const id = param(call, "id");
  const { joining, store } = call.deps;
  // The password is handed out once: not before the credential is on disk.
  await store.commit.flushed();
  const request = joining.poll(id, secret);
  if (request === undefined) {
    throw new GatewayError("not-found", `there is no request ${id}, or its secret is another`);
  }
  const { state } = request;
  if (state.kind === "pending") return { status: 200, body: pendingObject(call, request) };
  if (state.kind !== "approved") return { status: 200, body: { status: state.kind, id } };
  const credential = store.credentials.get(state.credential);
  if (credential === undefined) throw new GatewayError("not-found", "the credential was deleted");
  const card = renderCard(cardOf(call, credential, state.password), "json");
  return { status: 200, body: { status: "approved", id, card } };
}

const proof = z.strictObject({ signature: z.string("must be base64") });

/** A new password for the credential of a known device. */
async function postProof(call: Call): Promise<Answer> {
  requireSafe(call);
  const { signature } = parseBody(proof, await jsonBody(call));
  const id = param(call, "id");
  const { credential, password } = renewByProof(call.deps, { id, signature });
  const card = renderCard(cardOf(call, credential, password), "json");
  const { username, account, ulid } = credential;
  return {
    status: 200,
    body: { status: "approved", id, card },
    audit: { principal: `key of ${username}`, target: `/${account}/mqtt/${ulid}` },
  };
}

function pendingObject({ deps }: Call, { id, ...request }: JoinRequest): JsonObject {
  const code = request.by === "http" ? request.code : null;
  const leftMs = deps.joining.window?.leftMs ?? 0;
  const expires_at = formatTime(deps.clock.wallMs() + leftMs);
  return { status: "pending", id, code, expires_at };
}

/** Where there is TLS a password does not go without it, but on the machine itself. */
function requireSafe({ channel, deps }: Call): void {
  if (channel.kind !== "plain" || channel.isLoopback || deps.mqttsPort === undefined) return;
  throw new GatewayError(
    "insecure-channel",
    "a password is not handed out over a plain connection",
  );
}

function keyOf(given: string | JsonObject): string {
  const key = readPublicKey(given);
  if (key !== undefined) return key;
  const detail = "must be a public key on P-256: PEM (SPKI), or a JWK";
  throw new GatewayError("malformed", `public_key ${detail}`, {
    faults: [{ pointer: "/public_key", detail }],
  });
}

function requireDescription(call: Call, thing: JsonObject): void {
  if (JSON.stringify(thing).length > joinDescriptionLengthMax) {
    const detail = `thing has more than ${joinDescriptionLengthMax} characters`;
    throw new GatewayError("too-large", detail);
  }
  const read = readThingDescription(thing, call.deps.limits);
  if (read.ok) return;
  throw new GatewayError("description-invalid", "the Thing Description is not valid", {
    faults: read.faults.map(({ pointer, detail }) => ({ pointer: `/thing${pointer}`, detail })),
  });
}
