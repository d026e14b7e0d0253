import { GatewayError } from "../errors.ts";
import { generatePassword, hashGenerated, type SecretHash } from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import type { Principal } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { authoriseInAccount, authoriseInGateway, type StillEntitled } from "./authorise.ts";
import { newCredential } from "./credentials.ts";
import type { InteractionDeps } from "./deps.ts";
import type { JoinRequest } from "./join-requests.ts";
import type { Joining } from "./joining.ts";
import { createThing } from "./provisioning.ts";

type JoinDeps = InteractionDeps & { readonly joining: Joining };
type OnRequest = { readonly principal: Principal; readonly id: string };

/** What a person says of the device; what is left out is as the device asked. */
export type Approval = {
  readonly account?: string;
  /** An id or uid of a Thing that is there, or the Thing Description of a new one. */
  readonly thing?: string | JsonObject;
  readonly role?: "device" | "consumer";
  readonly definition?: boolean;
};

/**
 * Lets a device in: the Thing, if it is a new one, the credential and its grant are one batch. The
 * password goes to the device alone.
 * @throws GatewayError `forbidden`, `not-found`, `conflict`, `unknown-account`, `unknown-thing`,
 * `description-invalid`, `limit-reached`, `malformed`; then nothing was made.
 */
export async function approveJoin(
  deps: JoinDeps,
  on: OnRequest & { readonly approval: Approval; readonly stillEntitled?: StillEntitled },
): Promise<{
  readonly request: JoinRequest;
  readonly credential: Credential;
  readonly thing: Thing;
}> {
  const { secret, password } = await secretFor(deps, pendingRequest(deps, on));
  // It was perhaps waited for: look again, then put without a wait in between.
  await on.stillEntitled?.();
  const request = pendingRequest(deps, on);
  const { principal, approval } = on;
  const account = approval.account ?? request.account;
  if (account === undefined) throw missing("/account", "the account the device is to be of");
  authoriseInAccount(deps, principal, account, "mqtt.credentials");
  const publicKey = request.by === "http" ? request.said.publicKey : undefined;
  if (publicKey !== undefined && deps.store.credentials.byPublicKey(publicKey) !== undefined) {
    throw new GatewayError("conflict", "another request with the key of this device was approved");
  }
  const user = request.by === "mqtt" ? request.user : "";
  const made = newCredential(deps, { account, secret, grants: [], request: { user } });
  const thing = thingFor(deps, { principal, account }, request, approval);
  const { role = "device", definition = false } = approval;
  const things = { all: false, uids: new Set([thing.uid]) } as const;
  const credential: Credential = {
    ...made,
    grants: [{ entity: "things", things, role, definition }],
    description: remarkOf(request),
    ...(publicKey === undefined ? {} : { publicKey }),
  };
  deps.store.credentials.put(credential);
  // What it tried while it was nobody's is no reason to have it wait.
  deps.loginNames.forget(credential.username);
  const given = password === undefined ? {} : { password };
  deps.joining.decide(request, { kind: "approved", credential: credential.ulid, ...given });
  return { request, credential, thing };
}

/** @throws GatewayError `forbidden`, `not-found`, `conflict`. */
export function refuseJoin(deps: JoinDeps, on: OnRequest): void {
  deps.joining.decide(pendingRequest(deps, on), { kind: "refused" });
}

function pendingRequest(deps: JoinDeps, { principal, id }: OnRequest): JoinRequest {
  authoriseInGateway(principal, "mqtt.credentials");
  const request = deps.joining.get(id);
  if (request === undefined) {
    throw new GatewayError("not-found", `there is no request ${id} to join`);
  }
  if (request.state.kind === "pending") return request;
  throw new GatewayError("conflict", `the request ${id} is ${request.state.kind}`);
}

/** An MQTT client goes on with the password it has. */
async function secretFor(
  deps: JoinDeps,
  request: JoinRequest,
): Promise<{ readonly secret: SecretHash; readonly password: string | undefined }> {
  if (request.by === "mqtt") return { secret: await request.secret, password: undefined };
  const password = generatePassword(deps.random);
  return { secret: hashGenerated(password, deps.random), password };
}

function thingFor(
  deps: JoinDeps,
  on: { readonly principal: Principal; readonly account: string },
  request: JoinRequest,
  { thing }: Approval,
): Thing {
  if (typeof thing === "string") {
    const present = deps.store.things.find(on.account, thing);
    if (present !== undefined) return present;
    throw new GatewayError("unknown-thing", `there is no Thing ${on.account}/${thing}`, {
      faults: [{ pointer: "/thing", detail: "there is no such Thing" }],
    });
  }
  const description = thing ?? (request.by === "http" ? request.said.thing : undefined);
  if (description === undefined) {
    throw missing("/thing", "the id of a Thing, or a Thing Description: the device sent none");
  }
  return createThing(deps, { ...on, description });
}

function remarkOf(request: JoinRequest): string {
  if (request.by === "mqtt") return `joined by MQTT as ${request.clientId}`;
  const { name, model, serial } = request.said;
  return ["joined:", name, model, serial].filter((part) => part !== undefined).join(" ");
}

function missing(pointer: string, detail: string): GatewayError {
  return new GatewayError("malformed", `${pointer}: expected ${detail}`, {
    faults: [{ pointer, detail }],
  });
}
