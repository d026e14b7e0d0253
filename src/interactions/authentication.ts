import { isOver } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { isGeneratedSecret, isSecret, lookupDigest, type SecretHash } from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import type { Token } from "../store/tokens.ts";
import type { Principal } from "../thing/access.ts";
import type { InteractionDeps } from "./deps.ts";
import { authenticateClient, clientIdOf, clientOf, noteTokenUse } from "./tokens.ts";
import { authenticateUser } from "./users.ts";

type AuthenticationDeps = Pick<InteractionDeps, "store" | "clock" | "loginNames">;

/** Who holds this bearer token, or `undefined`. That it was used from `address` is noted. */
export function authenticateToken(
  deps: Pick<InteractionDeps, "store" | "clock">,
  text: string,
  address: string,
): Principal | undefined {
  const token = deps.store.tokens.byDigest(lookupDigest(text));
  if (token === undefined) return undefined;
  const { expiresAt, expiresIn } = token;
  if (expiresAt !== undefined && isOver(deps.clock, expiresAt, expiresIn)) return undefined;
  noteTokenUse(deps, token, address);
  return principalOfToken(token);
}

/**
 * Who has this user and password: an OAuth 2 client, a person or an MQTT credential.
 * @throws GatewayError `rate-limited`: too many failed for this user.
 */
export async function authenticateBasic(
  deps: AuthenticationDeps,
  user: string,
  password: string,
  address: string,
): Promise<Principal | undefined> {
  const client = authenticateClient(deps, user, password);
  if (client !== undefined) {
    const { account, scopes } = client;
    return { kind: "token", name: clientIdOf(client), account, scopes: new Set(scopes) };
  }
  // A person's password is asked for of nobody else: the names are never the same.
  if (deps.store.users.get(user) !== undefined) {
    takeName(deps, user, address);
    const person = await authenticateUser(deps, user, password);
    if (person !== undefined) deps.loginNames.right(user, address);
    return person;
  }
  const found = await authenticateCredential(deps, user, password, address);
  return found === undefined ? undefined : principalOf(found.credential);
}

/** Which of a credential's passwords was given. */
export type Authenticated = {
  readonly credential: Credential;
  /** The hash that matched: tells connections of an old password from those of the present one. */
  readonly secret: SecretHash;
};

/**
 * The enabled, unexpired credential with this user and password, or `undefined`.
 * @throws GatewayError `rate-limited`: too many failed for this user. Never for a password that we
 * made and that is right: it cannot be guessed.
 */
export async function authenticateCredential(
  deps: AuthenticationDeps,
  user: string,
  password: string,
  address: string,
): Promise<Authenticated | undefined> {
  const { credentials } = deps.store;
  const credential = credentials.byUsername(user);
  const isGood = credential !== undefined && isUsable(deps, credential);
  const secrets = isGood ? validSecrets(deps, credential) : [];
  const made = secrets.find((secret) => isGeneratedSecret(password, secret));
  if (isGood && made !== undefined) return { credential, secret: made };
  const chosen = secrets.filter(({ kind }) => kind === "scrypt");
  for (const secret of chosen) {
    // The old and the new password are one try.
    const isCounted = secret === chosen[0];
    if (!(await isChosen(deps, { user, password, address, isCounted }, secret))) continue;
    // It may have been changed while the password was stretched.
    const now = credential === undefined ? undefined : credentials.get(credential.ulid);
    if (now === undefined || !isUsable(deps, now) || !validSecrets(deps, now).includes(secret)) {
      return undefined;
    }
    return { credential: now, secret };
  }
  // Who is not there, or has a password that we made, is as slow to guess at as everybody.
  if (chosen.length === 0) takeName(deps, user, address);
  return undefined;
}

/** @throws GatewayError `rate-limited`. */
function takeName(
  { loginNames }: Pick<AuthenticationDeps, "loginNames">,
  user: string,
  address: string,
): void {
  const retryAfterS = loginNames.take(user, address);
  if (retryAfterS === 0) return;
  throw new GatewayError("rate-limited", "too many failed log-ins of this user", {
    retryAfterS,
    refusal: { cause: "too-many-failures", user },
  });
}

/** Why this user was not let in: for the log of refusals, never for the client. */
export function whyNot(
  deps: Pick<InteractionDeps, "store" | "clock">,
  user: string,
): "unknown-user" | "wrong-password" | "disabled-credential" | "expired-credential" {
  if (deps.store.users.get(user) !== undefined) return "wrong-password";
  const credential = deps.store.credentials.byUsername(user);
  if (credential === undefined) {
    return clientOf(deps, user) === undefined ? "unknown-user" : "wrong-password";
  }
  if (!credential.enabled) return "disabled-credential";
  return isUsable(deps, credential) ? "wrong-password" : "expired-credential";
}

export function isUsable(deps: Pick<InteractionDeps, "clock">, credential: Credential): boolean {
  const { enabled, expiresAt } = credential;
  return enabled && (expiresAt === undefined || expiresAt > deps.clock.wallMs());
}

/** The present password, and the one before while both work. */
export function validSecrets(
  deps: Pick<InteractionDeps, "clock">,
  { secret, previous }: Credential,
): readonly SecretHash[] {
  if (previous === undefined || isOver(deps.clock, previous.until, previous.moment)) {
    return [secret];
  }
  return [secret, previous.secret];
}

const principals = new WeakMap<Credential | Token, Principal>();

/** The principal of a token: always the same object. */
function principalOfToken(token: Token): Principal {
  let principal = principals.get(token);
  if (principal === undefined) {
    const { ulid, account, scopes } = token;
    principal = { kind: "token", name: `token ${ulid}`, account, scopes: new Set(scopes) };
    principals.set(token, principal);
  }
  return principal;
}

/** The principal of a revision of a credential: always the same object. */
export function principalOf(credential: Credential): Principal {
  let principal = principals.get(credential);
  if (principal === undefined) {
    const { username, ulid, account, grants } = credential;
    principal = { kind: "credential", name: `credential ${username}`, id: ulid, account, grants };
    principals.set(credential, principal);
  }
  return principal;
}

// A chosen password costs 100 ms to check; a reconnect storm after a power cut must not pay that
// for each device. Only digests of what matched are held, in memory, as long as their hash lives.
const matched = new WeakMap<SecretHash, string>();
/** Those under way: a hundred clients of one credential cost one check, not a hundred. */
const checks = new WeakMap<SecretHash, Map<string, Promise<boolean>>>();

type LogIn = {
  readonly user: string;
  readonly password: string;
  readonly address: string;
  readonly isCounted: boolean;
};

/**
 * Is it the password a person chose? What costs the name one of its tries is the check of a password,
 * not the log-in: a hundred devices that come back with the same one cost one.
 * @throws GatewayError `rate-limited`.
 */
async function isChosen(
  deps: Pick<AuthenticationDeps, "loginNames">,
  { user, password, address, isCounted }: LogIn,
  secret: SecretHash,
): Promise<boolean> {
  const digest = lookupDigest(`${secret.salt}\0${password}`);
  const underWay = checks.get(secret) ?? new Map<string, Promise<boolean>>();
  checks.set(secret, underWay);
  let check = underWay.get(digest);
  if (check === undefined) {
    if (isCounted) takeName(deps, user, address);
    if (matched.get(secret) === digest) {
      deps.loginNames.right(user, address);
      return true;
    }
    check = isSecret(password, secret).finally(() => underWay.delete(digest));
    underWay.set(digest, check);
  }
  if (!(await check)) return false;
  deps.loginNames.right(user, address);
  matched.set(secret, digest);
  return true;
}
