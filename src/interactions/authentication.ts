import { isOver } from "../clock.ts";
import { isGeneratedSecret, isSecret, lookupDigest, type SecretHash } from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import type { Token } from "../store/tokens.ts";
import type { Principal } from "../thing/access.ts";
import { isChosenPassword, refuseAsChosen } from "./chosen-passwords.ts";
import type { InteractionDeps } from "./deps.ts";
import { authenticateClient, clientIdOf, clientOf, noteTokenUse } from "./tokens.ts";
import { authenticateUser, nameOfUser } from "./users.ts";

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
  // People and credentials never have the same name.
  const person = deps.store.users.get(user);
  if (person !== undefined) return authenticateUser(deps, person, { password, address });
  const found = await authenticateCredential(deps, user, password, address);
  return found === undefined ? undefined : principalOf(found.credential);
}

/** Whose it is, and by what: a password, a certificate, or both. */
export type Authenticated = {
  readonly credential: Credential;
  /** The hash that matched: tells connections of an old password from those of the present one. */
  readonly secret?: SecretHash;
  /** Serial of the certificate that was shown and is good. */
  readonly certificate?: string;
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
    const login = { user, password, address, isCounted: secret === chosen[0] };
    if (!(await isChosenPassword(deps, login, secret, async () => isSecret(password, secret))))
      continue;
    // It may have been changed while the password was stretched.
    const now = credential === undefined ? undefined : credentials.get(credential.ulid);
    if (now === undefined || !isUsable(deps, now) || !validSecrets(deps, now).includes(secret)) {
      return undefined;
    }
    return { credential: now, secret };
  }
  // Who is not there, or has a password that we made, is as slow to guess at as everybody.
  if (chosen.length === 0) await refuseAsChosen(deps, { user, password, address });
  return undefined;
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

const TOKEN_PREFIX = "token ";

/** The principal of a token: always the same object. */
function principalOfToken(token: Token): Principal {
  let principal = principals.get(token);
  if (principal === undefined) {
    const { ulid, account, scopes } = token;
    principal = { kind: "token", name: TOKEN_PREFIX + ulid, account, scopes: new Set(scopes) };
    principals.set(token, principal);
  }
  return principal;
}

/** The person behind a token that `principal` makes: himself, or the owner of the token he uses. */
export function ownerOf(
  { store }: Pick<InteractionDeps, "store">,
  principal: Principal,
): string | undefined {
  const person = nameOfUser(principal);
  if (person !== undefined || !principal.name.startsWith(TOKEN_PREFIX)) return person;
  return store.tokens.get(principal.name.slice(TOKEN_PREFIX.length))?.owner;
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
