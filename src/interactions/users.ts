import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { passwordFault } from "../password-policy.ts";
import { hashPassword, isPassword } from "../secrets.ts";
import type { User } from "../store/users.ts";
import { ROLES, type Principal, type Role } from "../thing/access.ts";
import type { StillEntitled } from "./authorise.ts";
import { endSessionsOf } from "./browser-sessions.ts";
import { isChosenPassword, refuseAsChosen } from "./chosen-passwords.ts";
import type { InteractionDeps } from "./deps.ts";
import { revokeTokensOf } from "./tokens.ts";

export type WantedUser = {
  readonly name: string;
  readonly role: Role;
  readonly password: string;
};

/**
 * Makes a person who may log in. The caller has authorised it.
 * @throws GatewayError `malformed`, `conflict`, `limit-reached`, `weak-password`; as `stillEntitled`.
 */
export async function createUser(
  deps: InteractionDeps,
  { name, role, password }: WantedUser,
  stillEntitled?: StillEntitled,
): Promise<User> {
  requireFreeName(deps, name);
  requireRoom(deps);
  requireStrong(password, [name]);
  const phc = await hashPassword(password, deps.random);
  await stillEntitled?.();
  // The name may have been taken while the password was stretched.
  requireFreeName(deps, name);
  requireRoom(deps);
  return putUser(deps, { name, role, phc });
}

function requireRoom({ store }: Pick<InteractionDeps, "store">): void {
  const { usersMax } = FIXED_LIMITS;
  if (store.users.count < usersMax) return;
  throw new GatewayError("limit-reached", `there are ${usersMax} users (usersMax)`);
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
 * Gives a person another role or password, or both, or neither of them; his sessions end, and of the
 * tokens he made those that can do what he may no longer. The caller has authorised it.
 * @throws GatewayError `not-found`, `weak-password`, `conflict`: nobody would be left who may manage the box;
 * as `stillEntitled`.
 */
export async function changeUser(
  deps: InteractionDeps,
  name: string,
  { role, password }: { readonly role?: Role; readonly password?: string | undefined },
  stillEntitled?: StillEntitled,
): Promise<User> {
  requireUser(deps, name);
  if (password !== undefined) requireStrong(password, [name]);
  const phc = password === undefined ? undefined : await hashPassword(password, deps.random);
  await stillEntitled?.();
  const user = requireUser(deps, name);
  const isOtherRole = role !== undefined && role !== user.role;
  if (isOtherRole) requireOtherAdmin(deps, user);
  if (phc === undefined && !isOtherRole) return user;
  if (phc !== undefined) deps.loginNames.forget(name);
  endSessionsOf(deps, name);
  if (isOtherRole) revokeTokensOf(deps, name, ROLES[role]);
  return putUser(deps, { ...user, role: role ?? user.role, phc: phc ?? user.phc });
}

/**
 * Deletes a person; his sessions end, and the tokens he made. The caller has authorised it.
 * @throws GatewayError `conflict`: nobody would be left who may manage the box.
 */
export function deleteUser(deps: InteractionDeps, user: User): void {
  requireOtherAdmin(deps, user);
  endSessionsOf(deps, user.name);
  revokeTokensOf(deps, user.name);
  deps.loginNames.forget(user.name);
  deps.store.users.delete(user.name);
}

/** A box nobody can manage needs somebody at it: `sluice user` makes an admin there. */
function requireOtherAdmin({ store }: Pick<InteractionDeps, "store">, { name, role }: User): void {
  if (role !== "admin") return;
  const isOther = store.users.all().some((user) => user.role === "admin" && user.name !== name);
  if (!isOther) throw new GatewayError("conflict", `${name} is the last admin`);
}

/**
 * The person, if it is his password, or `undefined`.
 * @throws GatewayError `rate-limited`: too many failed for this name.
 */
export async function authenticateUser(
  deps: Pick<InteractionDeps, "store" | "loginNames">,
  user: User,
  { password, address }: { readonly password: string; readonly address: string },
): Promise<Principal | undefined> {
  const login = { user: user.name, password, address, isCounted: true };
  const isRight = await isChosenPassword(deps, login, user, async () =>
    isPassword(password, user.phc),
  );
  // It may have been changed while the password was stretched.
  const now = deps.store.users.get(user.name);
  return isRight && now?.phc === user.phc ? principalOfUser(now) : undefined;
}

/**
 * As `authenticateUser`, for a name that may be nobody's: that takes as long.
 * @throws GatewayError `rate-limited`.
 */
export async function logInUser(
  deps: Pick<InteractionDeps, "store" | "loginNames">,
  given: { readonly name: string; readonly password: string; readonly address: string },
): Promise<User | undefined> {
  const user = deps.store.users.get(given.name);
  if (user === undefined) {
    await refuseAsChosen(deps, { ...given, user: given.name });
    return undefined;
  }
  const principal = await authenticateUser(deps, user, given);
  return principal === undefined ? undefined : deps.store.users.get(given.name);
}

const USER_PREFIX = "user ";

/** Whose principal it is, if it is a person's. */
export function nameOfUser({ kind, name }: Principal): string | undefined {
  const isUser = kind === "token" && name.startsWith(USER_PREFIX);
  return isUser ? name.slice(USER_PREFIX.length) : undefined;
}

export function principalOfUser({ name, role }: User): Principal {
  return {
    kind: "token",
    name: USER_PREFIX + name,
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
