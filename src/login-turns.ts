import type { AddressRate } from "./address-rate.ts";
import { peerNetwork } from "./peer-network.ts";

type Source = { running: number; readonly waiting: ((waitS: number) => void)[] };

/**
 * Who may have his password checked now. A log-in takes one of its address's tokens before it is
 * checked, so that parallel guesses count, and gives it back when it was right. While all of them are
 * lent to checks under way, the next log-in waits for one: after a power cut hundreds of devices come
 * back at once, and a right password must not be refused for that.
 */
export class LoginTurns {
  readonly #rate: AddressRate;
  readonly #waitingMax: number;
  readonly #sources = new Map<string, Source>();

  /** `waitingMax`: log-ins of one address that may wait. */
  constructor(rate: AddressRate, waitingMax: number) {
    this.#rate = rate;
    this.#waitingMax = waitingMax;
  }

  /**
   * 0: it may be checked, and `leave` has to be called then. Otherwise there were too many failures:
   * the whole seconds until another try.
   */
  async enter(address: string): Promise<number> {
    const source = peerNetwork(address);
    const at = this.#sources.get(source) ?? { running: 0, waiting: [] };
    const waitS = this.#rate.take(address);
    if (waitS === 0) {
      at.running += 1;
      this.#sources.set(source, at);
      return 0;
    }
    if (at.running === 0 || at.waiting.length >= this.#waitingMax) return waitS;
    return new Promise((resolve) => at.waiting.push(resolve));
  }

  /** A log-in has been checked. A right one costs nothing. */
  leave(address: string, { isRight }: { readonly isRight: boolean }): void {
    const source = peerNetwork(address);
    const at = this.#sources.get(source);
    if (at === undefined) return;
    at.running -= 1;
    if (isRight) this.#rate.giveBack(address);
    while (at.waiting.length > 0) {
      const waitS = this.#rate.take(address);
      if (waitS === 0) at.running += 1;
      else if (at.running > 0) return;
      at.waiting.shift()?.(waitS);
    }
    if (at.running === 0) this.#sources.delete(source);
  }
}
