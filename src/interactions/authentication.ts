import { isOver } from "../clock.ts";
import { isGeneratedSecret, isSecret, lookupDigest, type SecretHash } from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import type { Token } from "../store/tokens.ts";
import type { Principal } from "../thing/access.ts";
import type { InteractionDeps } from "./deps.ts";
import { authenticateClient, clientIdOf } from "./tokens.ts";

type AuthenticationDeps = Pick<InteractionDeps, "store" | "clock">;

/** Who holds this bearer token, or `undefined`. */
export function authenticateToken(deps: AuthenticationDeps, text: string): Principal | undefined {
  const token = deps.store.tokens.byDigest(lookupDigest(text));
  if (token === undefined) return undefined;
  const { expiresAt, expiresIn } = token;
  if (expiresAt !== undefined && isOver(deps.clock, expiresAt, expiresIn)) return undefined;
  return principalOfToken(token);
}

/** Who has this user and password: an OAuth 2 client or an MQTT credential. */
export async function authenticateBasic(
  deps: AuthenticationDeps,
  user: string,
  password: string,
): Promise<Principal | undefined> {
  const client = authenticateClient(deps, user, password);
  if (client !== undefined) {
    const { account, scopes } = client;
    return { kind: "token", name: clientIdOf(client), account, scopes: new Set(scopes) };
  }
  const found = await authenticateCredential(deps, user, password);
  return found === undefined ? undefined : principalOf(found.credential);
}

/** Which of a credential's passwords was given. */
export type Authenticated = {
  readonly credential: Credential;
  /** The hash that matched: tells connections of an old password from those of the present one. */
  readonly secret: SecretHash;
};

/** The enabled, unexpired credential with this user and password, or `undefined`. */
export async function authenticateCredential(
  deps: AuthenticationDeps,
  user: string,
  password: string,
): Promise<Authenticated | undefined> {
  const credential = deps.store.credentials.byUsername(user);
  if (credential === undefined || !isUsable(deps, credential)) return undefined;
  for (const secret of validSecrets(deps, credential)) {
    if (!(await matches(password, secret))) continue;
    // It may have been changed while the password was stretched.
    const now = deps.store.credentials.get(credential.ulid);
    if (now === undefined || !isUsable(deps, now) || !validSecrets(deps, now).includes(secret)) {
      return undefined;
    }
    return { credential: now, secret };
  }
  return undefined;
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

async function matches(password: string, secret: SecretHash): Promise<boolean> {
  if (secret.kind === "sha256") return isGeneratedSecret(password, secret);
  const digest = lookupDigest(`${secret.salt}\0${password}`);
  if (matched.get(secret) === digest) return true;
  const underWay = checks.get(secret) ?? new Map<string, Promise<boolean>>();
  checks.set(secret, underWay);
  let check = underWay.get(digest);
  if (check === undefined) {
    check = isSecret(password, secret).finally(() => underWay.delete(digest));
    underWay.set(digest, check);
  }
  if (!(await check)) return false;
  matched.set(secret, digest);
  return true;
}
