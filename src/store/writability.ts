import { GatewayError } from "../errors.ts";

type Listener = (refusal: GatewayError | undefined) => void;

/**
 * Whether the store takes more. `stall`: a write failed, and what was put since is held until the
 * disk takes it. `behind`: a write takes so long that what waits behind it fills memory. `full`: the
 * disk has little room left, so new changes are refused while there still is some for deletions.
 */
export class Writability {
  #stall: GatewayError | undefined;
  #behind: GatewayError | undefined;
  #full: GatewayError | undefined;
  readonly #listeners = new Set<Listener>();

  /** Why nothing new is taken, or `undefined`. */
  get refusal(): GatewayError | undefined {
    return this.#stall ?? this.#behind ?? this.#full;
  }

  /** Why nothing at all can be written, deletions neither. */
  get stall(): GatewayError | undefined {
    return this.#stall;
  }

  setStall(stall: GatewayError | undefined): void {
    this.#change(() => (this.#stall = stall));
  }

  setBehind(isBehind: boolean): void {
    if (isBehind === (this.#behind !== undefined)) return;
    const detail = "the disk is slow: as much as may wait for it is waiting";
    const behind = isBehind ? new GatewayError("storage-full", detail) : undefined;
    this.#change(() => (this.#behind = behind));
  }

  setFull(full: GatewayError | undefined): void {
    this.#change(() => (this.#full = full));
  }

  /** Calls back when it begins to refuse, and when it takes changes again. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #change(change: () => void): void {
    const before = this.refusal;
    change();
    if (this.refusal === before) return;
    for (const listener of [...this.#listeners]) listener(this.refusal);
  }
}
