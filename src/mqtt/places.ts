import type { AddressRate } from "../address-rate.ts";
import type { LimitName, Limits } from "../limits.ts";

/** Gives the place of one connection to the next. Idempotent. */
export type ReleasePlace = () => void;

type Bounds = Pick<Limits, "connections" | "connections_per_address">;

/**
 * How many connections there are, in all and from each address, and how fast they come. One counts
 * from its first byte on, before it has said anything, and while it still shakes hands.
 */
export class Places {
  readonly #bounds: Bounds;
  readonly #rate: AddressRate;
  readonly #byAddress = new Map<string, number>();
  #taken = 0;

  constructor(bounds: Bounds, rate: AddressRate) {
    this.#bounds = bounds;
    this.#rate = rate;
  }

  /** `undefined`: there are too many, or they come too fast. */
  take(address: string): ReleasePlace | undefined {
    const ofAddress = this.#byAddress.get(address) ?? 0;
    const { connections, connections_per_address: perAddress } = this.#bounds;
    if (this.#taken >= connections || ofAddress >= perAddress) return undefined;
    if (this.#rate.take(address) > 0) return undefined;
    this.#taken += 1;
    this.#byAddress.set(address, ofAddress + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#release(address);
    };
  }

  /** Which of the bounds stands against one more connection from there. */
  boundOf(address: string): LimitName {
    const { connections, connections_per_address: perAddress } = this.#bounds;
    if (this.#taken >= connections) return "connections";
    const isFull = (this.#byAddress.get(address) ?? 0) >= perAddress;
    return isFull ? "connections_per_address" : "connects_per_minute_per_address";
  }

  #release(address: string): void {
    this.#taken -= 1;
    const ofAddress = (this.#byAddress.get(address) ?? 1) - 1;
    if (ofAddress > 0) this.#byAddress.set(address, ofAddress);
    else this.#byAddress.delete(address);
  }
}
