import { GatewayError } from "../errors.ts";
import { passwordFault } from "../password-policy.ts";
import { hashPassword, isPassword } from "../secrets.ts";
import type { User } from "../store/users.ts";
import { ROLES, type Principal, type Role } from "../thing/access.ts";
import type { InteractionDeps } from "./deps.ts";

export type WantedUser = {
  readonly name: string;
  readonly role: Role;
  readonly password: string;
};

/**
 * Makes a person who may log in. The caller has authorised it.
 * @throws GatewayError `malformed`, `conflict`, `weak-password`.
 */
export async function createUser(
  deps: InteractionDeps,
  { name, role, password }: WantedUser,
): Promise<User> {
  requireFreeName(deps, name);
  requireStrong(password, [name]);
  const phc = await hashPassword(password, deps.random);
  // The name may have been taken while the password was stretched.
  requireFreeName(deps, name);
  return putUser(deps, { name, role, phc });
}

/** Puts a person in the open batch, or changes the one there is. Synchronous. */
export function putUser(
  { store, clock }: Pick<InteractionDeps, "store" | "clock">,
  { name, role, phc }: Pick<User, "name" | "role" | "phc">,
): User {
  const before = store.users.get(name);
  const user: User = {
    name,
    role,
    phc,
    created: before?.created ?? clock.wallMs(),
    revision: (before?.revision ?? 0) + 1,
  };
  store.users.put(user);
  return user;
}

/**
 * Gives a person another password. The caller has authorised it.
 * @throws GatewayError `not-found`, `weak-password`.
 */
export async function setUserPassword(
  deps: InteractionDeps,
  name: string,
  password: string,
): Promise<User> {
  requireUser(deps, name);
  requireStrong(password, [name]);
  const phc = await hashPassword(password, deps.random);
  deps.loginNames.forget(name);
  return putUser(deps, { ...requireUser(deps, name), phc });
}

/** Who has this name and password, or `undefined`. */
export async function authenticateUser(
  { store }: Pick<InteractionDeps, "store">,
  name: string,
  password: string,
): Promise<Principal | undefined> {
  const user = store.users.get(name);
  if (user === undefined || !(await isPassword(password, user.phc))) return undefined;
  // The password may have been changed while it was stretched.
  return store.users.get(name)?.phc === user.phc ? principalOfUser(user) : undefined;
}

export function principalOfUser({ name, role }: User): Principal {
  return {
    kind: "token",
    name: `user ${name}`,
    account: undefined,
    scopes: new Set(ROLES[role]),
  };
}

const USER_NAME = /^[A-Za-z0-9._@-]{1,64}$/;

/** @throws GatewayError `malformed`, `conflict`: people and MQTT credentials share their names. */
export function requireFreeName(deps: Pick<InteractionDeps, "store">, name: string): void {
  requireUserName(deps, name);
  if (deps.store.users.get(name) === undefined) return;
  throw new GatewayError("conflict", `there is a user ${name}`);
}

/**
 * May a person have this name, or have it already?
 * @throws GatewayError `malformed`, `conflict`.
 */
export function requireUserName({ store }: Pick<InteractionDeps, "store">, name: string): void {
  if (!USER_NAME.test(name)) {
    const detail = "a user is named with 1 to 64 of A-Z a-z 0-9 . _ @ -";
    throw new GatewayError("malformed", detail, { faults: [{ pointer: "/user", detail }] });
  }
  if (store.credentials.byUsername(name) !== undefined) {
    throw new GatewayError("conflict", `there is an MQTT credential of the user ${name}`);
  }
}

/** @throws GatewayError `not-found`. */
export function requireUser({ store }: Pick<InteractionDeps, "store">, name: string): User {
  const user = store.users.get(name);
  if (user !== undefined) return user;
  throw new GatewayError("not-found", `there is no user ${name}`);
}

/** @throws GatewayError `weak-password`. */
export function requireStrong(password: string, names: readonly string[]): void {
  const fault = passwordFault(password, ["sluice", ...names]);
  if (fault === undefined) return;
  const faults = [{ pointer: "/password", detail: fault }];
  throw new GatewayError("weak-password", `the password ${fault}`, { faults });
}
