import { isOver, momentIn } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { generateToken, hashGenerated, isGeneratedSecret, lookupDigest } from "../secrets.ts";
import { OF_GATEWAY } from "../store/audit.ts";
import type { Client, Token } from "../store/tokens.ts";
import { SCOPES, type Scope } from "../thing/access.ts";
import type { InteractionDeps } from "./deps.ts";

/** A secret is in the one answer that made it, and nowhere else. */
export type IssuedToken = { readonly token: Token; readonly text: string };

/** `slu_` and four characters, 24 of 192 bits: enough to tell tokens apart. */
const PREFIX_LENGTH = 8;

/**
 * Makes a bearer token. The caller has authorised it.
 * @throws GatewayError `unknown-account`, `limit-reached`.
 */
export function createToken(
  deps: InteractionDeps,
  wanted: Omit<Token, "ulid" | "digest" | "prefix" | "created" | "lastUsed">,
  text: string = generateToken(deps.random),
): IssuedToken {
  const { tokens, clients, accounts, ids } = deps.store;
  const { account, description, expiresAt, expiresIn, client, owner, scopes } = wanted;
  if (account !== undefined && !accounts.has(account)) {
    throw new GatewayError("unknown-account", `there is no account ${account}`);
  }
  forgetExpiredTokens(deps);
  if (tokens.count + clients.count >= deps.limits.tokens) {
    const detail = `there are ${deps.limits.tokens} tokens and clients (limits.tokens)`;
    throw new GatewayError("limit-reached", detail);
  }
  const token: Token = {
    ulid: ids.next(),
    digest: lookupDigest(text),
    prefix: text.slice(0, PREFIX_LENGTH),
    scopes: [...new Set(scopes)],
    created: deps.clock.wallMs(),
    ...(account === undefined ? {} : { account }),
    ...(description === undefined ? {} : { description }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(expiresIn === undefined ? {} : { expiresIn }),
    ...(client === undefined ? {} : { client }),
    ...(owner === undefined ? {} : { owner }),
  };
  tokens.put(token);
  return { token, text };
}

/**
 * Revokes the tokens of a person who is gone, or may do only `scopes` from now on, at once: those that can
 * do more. Each has its audit record in the same batch.
 */
export function revokeTokensOf(
  { store }: Pick<InteractionDeps, "store">,
  owner: string,
  scopes: readonly Scope[] = [],
): void {
  for (const token of store.tokens.all()) {
    if (token.owner !== owner || token.scopes.every((scope) => scopes.includes(scope))) continue;
    store.tokens.delete(token);
    const target = `/gateway/tokens/${token.ulid}`;
    const detail = `its owner ${owner} ${scopes.length === 0 ? "was deleted" : "may do less now"}`;
    store.audit.record({ ...OF_GATEWAY, action: "token.delete", target, detail });
  }
}

/**
 * A token was used. It is told at most once a minute a token, in whichever batch is open then: reading a
 * property is no reason to write.
 */
export function noteTokenUse(
  { store, clock }: Pick<InteractionDeps, "store" | "clock">,
  token: Token,
  address: string,
): void {
  const at = clock.wallMs();
  const before = token.lastUsed?.at ?? Number.NEGATIVE_INFINITY;
  if (at - before < FIXED_LIMITS.tokenUseNotedMs || store.writability.refusal !== undefined) return;
  store.tokens.put({ ...token, lastUsed: { at, address } });
}

/** Client ids as they are shown and sent: `app::<ULID>`. */
const CLIENT_PREFIX = "app::";

export function clientIdOf(client: Client): string {
  return CLIENT_PREFIX + client.ulid;
}

/**
 * Makes an OAuth 2 client of an account. The caller has authorised it.
 * @throws GatewayError `limit-reached`.
 */
export function createClient(
  deps: InteractionDeps,
  wanted: Pick<Client, "account" | "description" | "scopes">,
): { readonly client: Client; readonly secret: string } {
  const { tokens, clients, ids } = deps.store;
  if (tokens.count + clients.count >= deps.limits.tokens) {
    const detail = `there are ${deps.limits.tokens} tokens and clients (limits.tokens)`;
    throw new GatewayError("limit-reached", detail);
  }
  const secret = generateToken(deps.random);
  const client: Client = {
    ulid: ids.next(),
    account: wanted.account,
    secret: hashGenerated(secret, deps.random),
    scopes: [...new Set(wanted.scopes)],
    ...(wanted.description === undefined ? {} : { description: wanted.description }),
    created: deps.clock.wallMs(),
  };
  clients.put(client);
  return { client, secret };
}

/** Deletes a client and revokes every token it was issued. */
export function deleteClient(deps: InteractionDeps, client: Client): void {
  for (const token of deps.store.tokens.all()) {
    if (token.client === client.ulid) deps.store.tokens.delete(token);
  }
  deps.store.clients.delete(client);
}

/** The client of an id and secret, or `undefined`. */
export function authenticateClient(
  deps: Pick<InteractionDeps, "store">,
  clientId: string,
  secret: string,
): Client | undefined {
  const client = clientOf(deps, clientId);
  return client !== undefined && isGeneratedSecret(secret, client.secret) ? client : undefined;
}

/** The client of an id. */
export function clientOf(
  { store }: Pick<InteractionDeps, "store">,
  clientId: string,
): Client | undefined {
  if (!clientId.startsWith(CLIENT_PREFIX)) return undefined;
  return store.clients.get(clientId.slice(CLIENT_PREFIX.length));
}

/**
 * An access token for a client (RFC 6749 §4.4), of the scopes asked for, or of all it has.
 * @returns `undefined` if it has not all of the scopes asked for.
 */
export function issueAccessToken(
  deps: InteractionDeps,
  client: Client,
  asked: readonly string[],
): (IssuedToken & { readonly lifeS: number }) | undefined {
  const scopes = asked.length === 0 ? client.scopes : asked.filter(isScope);
  if (scopes.length < asked.length) return undefined;
  if (!scopes.every((scope) => client.scopes.includes(scope))) return undefined;
  const lifeS = FIXED_LIMITS.accessTokenLifeS;
  const expiresAt = deps.clock.wallMs() + lifeS * 1000;
  const expiresIn = momentIn(deps.clock, lifeS * 1000);
  const { account, ulid } = client;
  forgetOldestTokens(deps, client);
  const issued = createToken(deps, { account, scopes, expiresAt, expiresIn, client: ulid });
  return { ...issued, lifeS };
}

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

/** One client must not use up the tokens of all: beyond its part its oldest ones end. */
function forgetOldestTokens(deps: InteractionDeps, client: Client): void {
  const { tokens } = deps.store;
  const own = tokens.all().filter((token) => token.client === client.ulid);
  const most = FIXED_LIMITS.accessTokensPerClientMax;
  for (const token of own.slice(0, Math.max(0, own.length - most + 1))) tokens.delete(token);
}

function forgetExpiredTokens(deps: InteractionDeps): void {
  const { tokens } = deps.store;
  if (tokens.count < deps.limits.tokens / 2) return;
  for (const token of tokens.withDeadline()) {
    const { expiresAt, expiresIn } = token;
    if (expiresAt !== undefined && isOver(deps.clock, expiresAt, expiresIn)) tokens.delete(token);
  }
}
