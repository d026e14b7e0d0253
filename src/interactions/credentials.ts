import { momentIn } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import {
  generatePassword,
  generateUser,
  hashChosen,
  hashGenerated,
  type SecretHash,
} from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import type { Principal } from "../thing/access.ts";
import { authoriseInAccount, type StillEntitled } from "./authorise.ts";
import { resolveGrants, type ResourceRequest } from "./credential-resources.ts";
import type { CredentialChange, InteractionDeps } from "./deps.ts";

/** What can be set of a credential; absent members keep what is, `null` takes it away. */
export type CredentialRequest = {
  readonly resources?: readonly ResourceRequest[];
  /** Empty: generated. */
  readonly user?: string;
  /** Empty: generated. Absent: generated for a new credential, kept for an old one. */
  readonly password?: string;
  readonly description?: string | null;
  readonly enabled?: boolean;
  /** ms since the epoch. */
  readonly expiresAt?: number | null;
  readonly clientId?: string | null;
  /** Seconds in which the password before still works. */
  readonly overlapS?: number;
};

type Entitled = { readonly stillEntitled?: StillEntitled };

type OnAccount = { readonly principal: Principal; readonly account: string };

/** The password is in this one outcome and never stored; `undefined`: it was not changed. */
export type CredentialOutcome = {
  readonly credential: Credential;
  readonly password: string | undefined;
};

/**
 * Makes a credential; all its resources share one user and password.
 * @throws GatewayError `forbidden`, `unknown-account`, `unknown-thing`, `malformed`, `conflict`,
 * `limit-reached`; then nothing was made.
 */
export async function createCredential(
  deps: InteractionDeps,
  on: OnAccount & Entitled & { readonly request: CredentialRequest },
): Promise<CredentialOutcome> {
  const { request } = on;
  const authorise = (): void =>
    authoriseInAccount(deps, on.principal, on.account, "mqtt.credentials");
  authorise();
  checkRequest(request);
  resolveGrants(deps, on, request.resources ?? []);
  const password = await makePassword(deps, request.password ?? "");
  // Hashing took time: look again, then put without a wait in between.
  await on.stillEntitled?.();
  authorise();
  const grants = resolveGrants(deps, on, request.resources ?? []);
  const { account } = on;
  const credential = newCredential(deps, { account, request, secret: password.hash, grants });
  deps.store.credentials.put(credential);
  return { credential, password: password.text };
}

/**
 * A credential that can be put in this turn.
 * @throws GatewayError `limit-reached`, `conflict`: the user is taken.
 */
export function newCredential(
  deps: InteractionDeps,
  of: Pick<Credential, "account" | "secret" | "grants"> & { readonly request: CredentialRequest },
): Credential {
  const { credentials, ids } = deps.store;
  if (credentials.count >= deps.limits.credentials) {
    const detail = `there are ${deps.limits.credentials} credentials (limits.credentials)`;
    throw new GatewayError("limit-reached", detail);
  }
  const { user, description, enabled, expiresAt, clientId } = of.request;
  return {
    ulid: ids.next(),
    account: of.account,
    username: freeUsername(deps, user ?? "", undefined),
    secret: of.secret,
    grants: of.grants,
    enabled: enabled ?? true,
    ...(typeof description === "string" ? { description } : {}),
    ...(typeof expiresAt === "number" ? { expiresAt } : {}),
    ...(typeof clientId === "string" ? { clientId } : {}),
    created: deps.clock.wallMs(),
    revision: 1,
  };
}

/**
 * Changes a credential. `precondition` gets the present one and may throw.
 * @throws GatewayError as `createCredential`; `not-found`.
 */
export async function changeCredential(
  deps: InteractionDeps,
  on: OnAccount &
    Entitled & {
      readonly ulid: string;
      readonly request: CredentialRequest;
      readonly precondition?: (present: Credential) => void;
    },
): Promise<CredentialOutcome> {
  const { request } = on;
  const find = (): Credential => {
    const present = findCredential(deps, on);
    on.precondition?.(present);
    return present;
  };
  find();
  checkRequest(request);
  const password =
    request.password === undefined ? undefined : await makePassword(deps, request.password);
  await on.stillEntitled?.();
  const before = find();
  const after = applyRequest(deps, on, before, password?.hash);
  deps.store.credentials.put(after);
  for (const change of changesBetween(before, after)) deps.credentialChanged(after.ulid, change);
  return { credential: after, password: password?.text };
}

/**
 * Deletes a credential: its connections and sessions end at once.
 * @throws GatewayError `forbidden`, `unknown-account`, `not-found`.
 */
export function deleteCredential(
  deps: InteractionDeps,
  on: OnAccount & {
    readonly ulid: string;
    readonly precondition?: (present: Credential) => void;
  },
): void {
  const present = findCredential(deps, on);
  on.precondition?.(present);
  eraseCredential(deps, present);
}

/** With its certificates. The caller has authorised it. */
export function eraseCredential(deps: InteractionDeps, credential: Credential): void {
  const { credentials, certificates } = deps.store;
  credentials.delete(credential);
  for (const certificate of certificates.ofCredential(credential.ulid)) {
    certificates.delete(certificate);
  }
  deps.credentialChanged(credential.ulid, "revoked");
}

/** @throws GatewayError `forbidden`, `unknown-account`, `not-found`. */
export function findCredential(
  deps: InteractionDeps,
  on: OnAccount & { readonly ulid: string },
): Credential {
  authoriseInAccount(deps, on.principal, on.account, "mqtt.credentials");
  const credential = deps.store.credentials.get(on.ulid);
  if (credential?.account === on.account) return credential;
  throw new GatewayError("not-found", `${on.account} has no MQTT credential ${on.ulid}`);
}

function applyRequest(
  deps: InteractionDeps,
  on: OnAccount & { readonly request: CredentialRequest },
  before: Credential,
  secret: SecretHash | undefined,
): Credential {
  const { request } = on;
  const { previous, description, expiresAt, clientId, ...kept } = before;
  const overlapMs = (request.overlapS ?? 0) * 1000;
  const overlap =
    secret === undefined
      ? previous
      : overlapMs > 0
        ? {
            secret: before.secret,
            until: deps.clock.wallMs() + overlapMs,
            moment: momentIn(deps.clock, overlapMs),
          }
        : undefined;
  const now = {
    description: request.description === undefined ? description : request.description,
    expiresAt: request.expiresAt === undefined ? expiresAt : request.expiresAt,
    clientId: request.clientId === undefined ? clientId : request.clientId,
  };
  return {
    ...kept,
    username:
      request.user === undefined ? before.username : freeUsername(deps, request.user, before.ulid),
    secret: secret ?? before.secret,
    grants:
      request.resources === undefined ? before.grants : resolveGrants(deps, on, request.resources),
    enabled: request.enabled ?? before.enabled,
    ...(overlap === undefined ? {} : { previous: overlap }),
    ...(typeof now.description === "string" ? { description: now.description } : {}),
    ...(typeof now.expiresAt === "number" ? { expiresAt: now.expiresAt } : {}),
    ...(typeof now.clientId === "string" ? { clientId: now.clientId } : {}),
    revision: before.revision + 1,
  };
}

/** What a change means for live connections. An expiry in the past is seen by `CredentialDeadlines`. */
function changesBetween(before: Credential, after: Credential): readonly CredentialChange[] {
  if (!after.enabled) return ["revoked"];
  const changes: CredentialChange[] = [];
  const isRenamed = after.username !== before.username || after.clientId !== before.clientId;
  if (after.secret !== before.secret || isRenamed) changes.push("password");
  if (after.grants !== before.grants) changes.push("grants");
  return changes;
}

const USERNAME = /^[A-Za-z0-9._@-]{1,64}$/;

export function isUsername(text: string): boolean {
  return USERNAME.test(text);
}

const { passwordBytesMax, clientIdBytesMax, passwordOverlapSMax } = FIXED_LIMITS;

function checkRequest({ user, password, overlapS, clientId }: CredentialRequest): void {
  if (user !== undefined && user !== "" && !isUsername(user)) {
    throw new GatewayError("malformed", "user: 1 to 64 letters, digits and . _ @ -", {
      faults: [{ pointer: "/user", detail: "1 to 64 letters, digits and . _ @ -" }],
    });
  }
  if (password !== undefined && !isChosenPassword(password)) {
    const detail = `at most ${passwordBytesMax} bytes and no NUL`;
    throw new GatewayError("malformed", `password: ${detail}`, {
      faults: [{ pointer: "/password", detail }],
    });
  }
  if (overlapS !== undefined && !(overlapS >= 0 && overlapS <= passwordOverlapSMax)) {
    const detail = `0 to ${passwordOverlapSMax} seconds`;
    throw new GatewayError("malformed", `overlap: ${detail}`, {
      faults: [{ pointer: "/overlap", detail }],
    });
  }
  if (typeof clientId === "string" && !isClientId(clientId)) {
    const detail = `1 to ${clientIdBytesMax} bytes and no NUL`;
    throw new GatewayError("malformed", `client_id: ${detail}`, {
      faults: [{ pointer: "/client_id", detail }],
    });
  }
}

function isClientId(text: string): boolean {
  const isText = text !== "" && !text.includes("\0") && text.isWellFormed();
  return isText && Buffer.byteLength(text) <= clientIdBytesMax;
}

/** Whether it can be the password of a credential; empty ones are generated. */
export function isChosenPassword(text: string): boolean {
  return Buffer.byteLength(text) <= passwordBytesMax && !text.includes("\0") && text.isWellFormed();
}

async function makePassword(
  deps: InteractionDeps,
  given: string,
): Promise<{ readonly text: string; readonly hash: SecretHash }> {
  if (given !== "") return { text: given, hash: await hashChosen(given, deps.random) };
  const text = generatePassword(deps.random);
  return { text, hash: hashGenerated(text, deps.random) };
}

function freeUsername(deps: InteractionDeps, given: string, own: string | undefined): string {
  const { credentials, users } = deps.store;
  if (given === "") {
    for (;;) {
      const username = generateUser(deps.random);
      const isTaken = credentials.byUsername(username) ?? users.get(username);
      if (isTaken === undefined) return username;
    }
  }
  const holder = credentials.byUsername(given);
  const isOthers = holder !== undefined && holder.ulid !== own;
  if (!isOthers && users.get(given) === undefined) return given;
  throw new GatewayError("conflict", `the user ${given} is taken`, {
    faults: [{ pointer: "/user", detail: "is taken: user names are unique on the box" }],
  });
}
