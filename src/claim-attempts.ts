import { AddressRate } from "./address-rate.ts";
import type { Clock } from "./clock.ts";
import { FIXED_LIMITS } from "./limits.ts";

const EVERYBODY = "";

/**
 * How often a claim code may be tried: so often from one network, so often from all of them together.
 * An attempt is taken before the code is compared, so that parallel guesses count, and given back when
 * it was right. One address alone never uses up what all have together.
 */
export class ClaimAttempts {
  readonly #ofNetwork: AddressRate;
  readonly #ofAll: AddressRate;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    const { claimAttemptsPerMinutePerAddress, claimAttemptsPerMinute } = FIXED_LIMITS;
    this.#ofNetwork = new AddressRate(claimAttemptsPerMinutePerAddress, clock);
    this.#ofAll = new AddressRate(claimAttemptsPerMinute, clock);
  }

  /** Takes an attempt: 0, or the whole seconds until there is one. */
  take(address: string): number {
    const waitS = this.#ofNetwork.take(address);
    if (waitS > 0) return waitS;
    const waitForAllS = this.#ofAll.take(EVERYBODY);
    // It was not tried: it costs the address nothing.
    if (waitForAllS > 0) this.#ofNetwork.giveBack(address);
    return waitForAllS;
  }

  /** It was right: it costs nothing. */
  giveBack(address: string): void {
    this.#ofNetwork.giveBack(address);
    this.#ofAll.giveBack(EVERYBODY);
  }
}
