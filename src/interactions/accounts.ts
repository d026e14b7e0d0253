import { GatewayError } from "../errors.ts";
import type { Account } from "../store/accounts.ts";
import { isAccountName } from "../thing/thing.ts";
import { eraseCredential } from "./credentials.ts";
import type { InteractionDeps } from "./deps.ts";
import { eraseThing } from "./provisioning.ts";

/**
 * Makes an account or changes its description. The caller has authorised it.
 * @throws GatewayError `malformed`, `limit-reached`.
 */
export function putAccount(
  deps: InteractionDeps,
  name: string,
  { description }: { readonly description?: string },
): { readonly account: Account; readonly created: boolean } {
  if (!isAccountName(name)) {
    throw new GatewayError("malformed", `${JSON.stringify(name)} cannot be the name of an account`);
  }
  const { accounts } = deps.store;
  const before = accounts.get(name);
  if (before === undefined && accounts.count >= deps.limits.accounts) {
    const detail = `there are ${deps.limits.accounts} accounts (limits.accounts)`;
    throw new GatewayError("limit-reached", detail);
  }
  const account: Account = {
    name,
    ...(description === undefined ? {} : { description }),
    created: before?.created ?? deps.clock.wallMs(),
    revision: (before?.revision ?? 0) + 1,
  };
  accounts.put(account);
  return { account, created: before === undefined };
}

/** @throws GatewayError `unknown-account`. */
export function findAccount(deps: Pick<InteractionDeps, "store">, name: string): Account {
  const account = deps.store.accounts.get(name);
  if (account !== undefined) return account;
  throw new GatewayError("unknown-account", `there is no account ${name}`);
}

/**
 * Deletes an account; with `force` all that it holds: Things, credentials, clients, tokens.
 * @throws GatewayError `unknown-account`, `account-not-empty`.
 */
export function deleteAccount(
  deps: InteractionDeps,
  name: string,
  { force }: { readonly force: boolean },
): void {
  findAccount(deps, name);
  const { store } = deps;
  const things = [...store.things.ofAccount(name)];
  const credentials = store.credentials.ofAccount(name);
  const clients = store.clients.ofAccount(name);
  const tokens = store.tokens.all().filter((token) => token.account === name);
  const held = things.length + credentials.length + clients.length + tokens.length;
  if (held > 0 && !force) {
    throw new GatewayError(
      "account-not-empty",
      `${name} holds ${things.length} Things, ${credentials.length} credentials, ` +
        `${clients.length} clients and ${tokens.length} tokens`,
    );
  }
  for (const credential of credentials) eraseCredential(deps, credential);
  for (const thing of things) eraseThing(deps, thing);
  for (const client of clients) store.clients.delete(client);
  for (const token of tokens) store.tokens.delete(token);
  store.accounts.delete(name);
}
