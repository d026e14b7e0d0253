import { z } from "zod";
import { authoriseInAccount } from "../interactions/authorise.ts";
import {
  showPatterns,
  showResources,
  type ResourceRequest,
} from "../interactions/credential-resources.ts";
import {
  changeCredential,
  createCredential,
  deleteCredential,
  findCredential,
  type CredentialRequest,
} from "../interactions/credentials.ts";
import type { Credential } from "../store/credentials.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { jsonBody, parseBody } from "./body.ts";
import { onAccount, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { descriptionMember, timeMember } from "./body-members.ts";
import { cardFormat, cardOf, getCard, renderCard, type CardFormat } from "./credential-card.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/:account/mqtt";
const ONE = "/:account/mqtt/:ulid";
const SCOPES = ["mqtt.credentials"] as const;

export const credentialRoutes: readonly Route[] = [
  {
    method: "POST",
    path: ALL,
    audit: "credential.create",
    scopes: SCOPES,
    query: ["card"],
    answer: postCredential,
  },
  { method: "GET", path: ALL, scopes: SCOPES, query: PAGE_PARAMETERS, answer: listCredentials },
  { method: "GET", path: ONE, scopes: SCOPES, answer: getCredential },
  {
    method: "PUT",
    path: ONE,
    audit: "credential.change",
    scopes: SCOPES,
    query: ["card"],
    answer: updateCredential,
  },
  {
    method: "PATCH",
    path: ONE,
    audit: "credential.change",
    scopes: SCOPES,
    query: ["card"],
    answer: updateCredential,
  },
  {
    method: "DELETE",
    path: ONE,
    audit: "credential.delete",
    scopes: SCOPES,
    answer: removeCredential,
  },
  { method: "GET", path: `${ONE}/card`, scopes: SCOPES, query: ["format"], answer: getCard },
];

const ids = z.array(z.string("must be an id"), 'must be an array of ids, or ["*"]').readonly();
const resource = z.discriminatedUnion(
  "entity",
  [
    z.strictObject({
      entity: z.literal("things"),
      id: ids,
      role: z.enum(["device", "consumer"], "must be device or consumer").optional(),
      definition: z.boolean("must be true or false").optional(),
    }),
    z.strictObject({ entity: z.literal("data"), id: ids }),
    z.strictObject({
      entity: z.literal("topics"),
      patterns: z
        .array(z.strictObject({ pub: z.string().default(""), sub: z.string().default("") }))
        .readonly(),
    }),
  ],
  "must have an entity: things, data or topics",
);

const changeable = {
  user: z.string("must be a string").exactOptional(),
  password: z.string("must be a string").exactOptional(),
  description: descriptionMember.nullable().exactOptional(),
  enabled: z.boolean("must be true or false").exactOptional(),
  expires_at: timeMember.nullable().exactOptional(),
  client_id: z.string("must be a string").nullable().exactOptional(),
};
const resources = z.array(resource, "must be an array of resources").readonly();

const creation = z.strictObject({ ...changeable, resources });
const change = z.strictObject({
  ...changeable,
  resources: resources.exactOptional(),
  overlap: z.number("must be a number of seconds").exactOptional(),
});

/** From the names of the API to ours. */
function toRequest(body: z.infer<typeof change>): CredentialRequest {
  const { expires_at: expiresAt, client_id: clientId, overlap: overlapS, ...same } = body;
  return {
    ...same,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(overlapS === undefined ? {} : { overlapS }),
  };
}

/**
 * The answer has the four members of the contract, and a card if one was asked for: the password is in
 * no other.
 */
async function postCredential(call: AuthorisedCall): Promise<Answer> {
  const format = cardFormat(call, "card");
  const request = toRequest(parseBody(creation, await jsonBody(call)));
  const { store } = call.deps;
  const on = onAccount(call);
  const { stillEntitled } = call;
  const wanted = { ...on, request, stillEntitled };
  const { credential, password } = await createCredential(call.deps, wanted);
  const { ulid, username, account, grants } = credential;
  return {
    status: 201,
    body: {
      ulid,
      username,
      ...(password === undefined ? {} : { password }),
      topics: showPatterns(store, account, grants),
      ...cardMember(call, format, credential, password),
    },
    etag: etagOf(credential),
    headers: { Location: `/${account}/mqtt/${ulid}` },
  };
}

function cardMember(
  call: AuthorisedCall,
  format: CardFormat | undefined,
  credential: Credential,
  password: string | undefined,
): JsonObject {
  if (format === undefined) return {};
  return { card: renderCard(cardOf(call, credential, password), format) };
}

function listCredentials(call: AuthorisedCall): Answer {
  const { store } = call.deps;
  const { principal, account } = onAccount(call);
  authoriseInAccount(call.deps, principal, account, "mqtt.credentials");
  const all = store.credentials.ofAccount(account);
  const page = pageById(all, readPageRequest(call.query), ({ ulid }) => ulid);
  return listAnswer(call, page, (credential) => render(store, credential));
}

function getCredential(call: AuthorisedCall): Answer {
  const credential = findCredential(call.deps, onCredential(call));
  return { status: 200, body: render(call.deps.store, credential), etag: etagOf(credential) };
}

/** PUT as PATCH: what is missing stays; `null` takes away what may be absent. */
async function updateCredential(call: AuthorisedCall): Promise<Answer> {
  const format = cardFormat(call, "card");
  const request = toRequest(parseBody(change, await jsonBody(call)));
  const { credential, password } = await changeCredential(call.deps, {
    ...onCredential(call),
    request,
    stillEntitled: call.stillEntitled,
    precondition: (present) => requireMatch(call.preconditions, etagOf(present)),
  });
  const shown = {
    ...render(call.deps.store, credential),
    ...cardMember(call, format, credential, password),
  };
  return {
    status: 200,
    body: password === undefined ? shown : { ...shown, password },
    etag: etagOf(credential),
  };
}

function removeCredential(call: AuthorisedCall): Answer {
  deleteCredential(call.deps, {
    ...onCredential(call),
    precondition: (present) => requireMatch(call.preconditions, etagOf(present)),
  });
  return { status: 204 };
}

function onCredential(call: AuthorisedCall) {
  return { ...onAccount(call), ulid: param(call, "ulid") };
}

function etagOf({ revision }: Credential): string {
  return String(revision);
}

function render(store: Pick<Store, "things">, credential: Credential): JsonObject {
  const { ulid, account, username, grants, enabled, description, expiresAt, clientId } = credential;
  return {
    ulid,
    username,
    topics: showPatterns(store, account, grants),
    resources: showResources(store, grants).map(resourceObject),
    enabled,
    description: description ?? null,
    expires_at: expiresAt === undefined ? null : formatTime(expiresAt),
    client_id: clientId ?? null,
    created: formatTime(credential.created),
  };
}

function resourceObject(shown: ResourceRequest): JsonObject {
  switch (shown.entity) {
    case "topics":
      return { entity: shown.entity, patterns: shown.patterns };
    case "data":
      return { entity: shown.entity, id: shown.id };
    case "things":
      return {
        entity: shown.entity,
        id: shown.id,
        role: shown.role ?? "device",
        ...(shown.definition === true ? { definition: true } : {}),
      };
  }
}
