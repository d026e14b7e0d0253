import type { Clock } from "./clock.ts";
import { FIXED_LIMITS } from "./limits.ts";

type Name = { failures: number; untilMs: number; atMs: number };

/**
 * Slows the guessing of one name's password from many addresses. So many failures of a name are free;
 * after each further one the next try has to wait, twice as long each time, up to a bound. Quiet, or a
 * right password from an address that is new for the name, forgets them.
 *
 * Whoever guesses must not lock out whom he guesses: an address from which the name was right before
 * is let try at any time (it has the bound of its address). So is a secret that cannot be guessed:
 * that is for the caller to ask first.
 */
export class LoginNames {
  readonly #freeFailures: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #names = new Map<string, Name>();
  /** Name and address, the one that was right longest ago first. */
  readonly #known = new Set<string>();

  /** `freeFailures` 0: no bound by name. */
  constructor(freeFailures: number, clock: Pick<Clock, "monotonicMs">) {
    this.#freeFailures = freeFailures;
    this.#clock = clock;
  }

  /**
   * A password of this name is to be checked: 0, or the whole seconds until it may be. It counts as
   * failed until it is said to be right, so that parallel guesses count.
   */
  take(given: string, address: string): number {
    const name = given.length > FIXED_LIMITS.loginNameLengthMax ? NOBODY : given;
    if (this.#freeFailures === 0 || this.#known.has(pairOf(name, address))) return 0;
    const now = this.#clock.monotonicMs();
    const known = this.#names.get(name);
    const isForgotten = known !== undefined && now - known.atMs >= FIXED_LIMITS.loginQuietMs;
    const failures = known === undefined || isForgotten ? 0 : known.failures;
    if (known !== undefined && !isForgotten && now < known.untilMs) {
      return Math.max(1, Math.ceil((known.untilMs - now) / 1000));
    }
    const beyond = failures + 1 - this.#freeFailures;
    const waitMs =
      beyond < 0 ? 0 : Math.min(1000 * 2 ** Math.min(beyond, 30), FIXED_LIMITS.loginWaitMsMax);
    this.#names.delete(name);
    this.#names.set(name, { failures: failures + 1, untilMs: now + waitMs, atMs: now });
    forgetOldest(this.#names);
    return 0;
  }

  /**
   * The password was right: its address is known. From an address that was known already it says
   * nothing of the failures elsewhere: else a dashboard that asks each second would give whoever
   * guesses his free tries back each second.
   */
  right(name: string, address: string): void {
    if (this.#freeFailures === 0) return;
    const pair = pairOf(name, address);
    if (!this.#known.has(pair)) this.#names.delete(name);
    this.#known.delete(pair);
    this.#known.add(pair);
    forgetOldest(this.#known);
  }

  /** The name has another password, or is no more: whoever knew the old one is a stranger. */
  forget(name: string): void {
    this.#names.delete(name);
    for (const pair of this.#known) if (pair.startsWith(`${name}\0`)) this.#known.delete(pair);
  }
}

/** Whose name is longer than any there is: nobody's, and of a megabyte it is not remembered. */
const NOBODY = "";

/** No name and no address has a NUL in it. */
function pairOf(name: string, address: string): string {
  return `${name}\0${address}`;
}

function forgetOldest(kept: {
  readonly size: number;
  readonly keys: () => Iterator<string>;
  readonly delete: (key: string) => boolean;
}): void {
  if (kept.size <= FIXED_LIMITS.addressesMax) return;
  const oldest = kept.keys().next();
  if (oldest.done !== true) kept.delete(oldest.value);
}
