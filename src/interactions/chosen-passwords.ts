import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { isPassword, lookupDigest } from "../secrets.ts";
import type { InteractionDeps } from "./deps.ts";

// A chosen password costs 100 ms to check; a reconnect storm after a power cut must not pay that for
// each device. Only digests of what matched are held, in memory, as long as what holds their hash.
const matched = new WeakMap<object, string>();
/** Those under way: a hundred clients of one credential cost one check, not a hundred. */
const checks = new WeakMap<object, Map<string, Promise<boolean>>>();

/**
 * What was refused lately, and for which holder: a device that comes again and again with an old
 * credential costs one check. The same for names that are nobody's, so that it tells nothing.
 */
const refused = new Map<string, object>();

/** One log-in with a password that a person chose. */
export type ChosenLogIn = {
  readonly user: string;
  readonly password: string;
  readonly address: string;
  /** Does it cost the name one of its tries? */
  readonly isCounted: boolean;
};

/**
 * Is it the password that `holder` has the hash of? `check` compares them. What costs the name one of its
 * tries is the check of a password, not the log-in: a hundred devices that come back with the same
 * one cost one.
 * @throws GatewayError `rate-limited`.
 */
export async function isChosenPassword(
  deps: Pick<InteractionDeps, "loginNames">,
  { user, password, address, isCounted }: ChosenLogIn,
  holder: object,
  check: () => Promise<boolean>,
): Promise<boolean> {
  const digest = lookupDigest(password);
  const refusedAs = lookupDigest(`${user}\0${password}`);
  const underWay = checks.get(holder) ?? new Map<string, Promise<boolean>>();
  checks.set(holder, underWay);
  let running = underWay.get(digest);
  if (running === undefined) {
    if (isCounted) takeName(deps, user, address);
    if (matched.get(holder) === digest) {
      deps.loginNames.right(user, address);
      return true;
    }
    if (refused.get(refusedAs) === holder) return false;
    running = check().finally(() => underWay.delete(digest));
    underWay.set(digest, running);
  }
  if (!(await running)) {
    keepRefused(refusedAs, holder);
    return false;
  }
  deps.loginNames.right(user, address);
  matched.set(holder, digest);
  return true;
}

/**
 * Refuses what was said of a name that is nobody's, or whose password we made and which cannot be guessed.
 * It costs what a wrong guess at a chosen password costs, in tries of the name and in work, and shares that
 * work as those do: how long an answer takes tells nobody which names there are.
 * @throws GatewayError `rate-limited`.
 */
export async function refuseAsChosen(
  deps: Pick<InteractionDeps, "loginNames">,
  { user, password, address }: Omit<ChosenLogIn, "isCounted">,
): Promise<void> {
  const login = { user, password: `${user}\0${password}`, address, isCounted: true };
  await isChosenPassword(deps, login, NOBODY, async () => {
    await isPassword(password, NOBODY.phc);
    return false;
  });
}

function keepRefused(digest: string, holder: object): void {
  refused.delete(digest);
  refused.set(digest, holder);
  const [oldest] = refused.keys();
  if (refused.size > FIXED_LIMITS.refusedLogInsKept && oldest !== undefined) refused.delete(oldest);
}

/** The hash of a password nobody knows. */
const NOBODY = { phc: `$scrypt$ln=15,r=8,p=1$${"A".repeat(22)}$${"A".repeat(43)}` } as const;

/**
 * A password of this name is about to be checked, or would be if there were one.
 * @throws GatewayError `rate-limited`.
 */
function takeName(
  { loginNames }: Pick<InteractionDeps, "loginNames">,
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
