import { FIXED_LIMITS } from "../limits.ts";

/**
 * What becomes of a value that came from upstream. `apply`: it is set. `echo`: it is one of ours that
 * came back. `lost`: a local change stands against it.
 */
export type Verdict = "apply" | "echo" | "lost";

type Awaited = {
  readonly value: string;
  /** The uplink's own number of the message it went up with; 0: it went up before the last start. */
  readonly seq: number;
  /** The change that set it. */
  readonly sequence: number;
  /** When upstream acknowledged it; `undefined`: not yet. */
  ackedMs: number | undefined;
};

export type SentValue = {
  readonly slot: string;
  readonly value: string;
  /** Of the change that set it. */
  readonly sequence: number;
};

/**
 * The conflict rule of one uplink whose upstream sends our own values back: while a local change of a
 * property is not acknowledged, or its echo has not come back, a value that comes loses; else the last
 * to arrive wins.
 *
 * It decides by order alone: what upstream sends is the order of its writes, ours among them. A value
 * ahead of our echo was written before ours and is gone there too; a value behind it is newer. An echo
 * may never come (refused, or left out of a full queue): so the last value that lost is kept by the
 * caller, who sets it when `mayLeave` says that nothing is awaited any more. Then both sides agree,
 * whichever value was taken for an echo: that only decides how soon.
 *
 * A slot names a property of a Thing; values are texts that are equal when the values are. Pure: knows
 * no time but what it is told. Bounded: what is forgotten is an echo that will be set once more.
 */
export class Conflicts {
  readonly #slots = new Map<string, Awaited[]>();
  #count = 0;
  /** When a value of each went up last, of those that did last. */
  readonly #sentMs = new Map<string, number>();
  /** When the line that is open was opened: before it no echo could come. */
  #openedMs: number | undefined;

  /** Values whose echo is awaited. */
  get awaited(): number {
    return this.#count;
  }

  /** The oldest change whose echo is awaited. */
  get oldest(): number | undefined {
    let oldest: number | undefined;
    for (const awaited of this.#slots.values()) {
      for (const { sequence } of awaited) oldest = Math.min(oldest ?? sequence, sequence);
    }
    return oldest;
  }

  /** A value is on its way up. Sent again, it may come back twice. */
  sent({ slot, value, sequence }: SentValue, seq: number): void {
    this.#add(slot, { value, seq, sequence, ackedMs: undefined });
  }

  /** It went up and was acknowledged before this start, and may not have come back. */
  wasSent({ slot, value, sequence }: SentValue): void {
    this.#add(slot, { value, seq: 0, sequence, ackedMs: 0 });
  }

  /** Upstream has what was sent as `seq`, once for each time it was sent. */
  acknowledged(slot: string, seq: number, nowMs: number): void {
    this.#sentMs.delete(slot);
    this.#sentMs.set(slot, nowMs);
    const [first] = this.#sentMs.keys();
    if (this.#sentMs.size > FIXED_LIMITS.uplinkEchoesMax && first !== undefined) {
      this.#sentMs.delete(first);
    }
    for (const awaited of this.#slots.get(slot) ?? []) {
      if (awaited.seq === seq) awaited.ackedMs ??= nowMs;
    }
  }

  /** A value came. `isUnacknowledged`: the present local value is one that upstream has not got yet. */
  arrived(slot: string, value: string, isUnacknowledged: boolean): Verdict {
    const awaited = this.#slots.get(slot);
    const place = awaited?.findIndex((one) => one.value === value) ?? -1;
    if (awaited !== undefined && place >= 0) {
      // Upstream keeps the order: of those before it no echo will come any more.
      this.#drop(slot, awaited, place + 1);
      return "echo";
    }
    return awaited !== undefined || isUnacknowledged ? "lost" : "apply";
  }

  /** What was not acknowledged goes up once more, or is not owed any more: the wait begins again. */
  lineOpened(nowMs: number): void {
    this.#openedMs = nowMs;
    for (const awaited of this.#slots.values()) for (const one of awaited) one.ackedMs ??= nowMs;
  }

  lineClosed(): void {
    this.#openedMs = undefined;
  }

  /**
   * Whether a value of ours went up a short while ago: its equal may be one more echo, of a time it was
   * sent before the last start.
   */
  mayEcho(slot: string, nowMs: number): boolean {
    const sentMs = this.#sentMs.get(slot);
    if (sentMs === undefined) return false;
    return nowMs - Math.max(sentMs, this.#openedMs ?? 0) < FIXED_LIMITS.uplinkEchoMsMax;
  }

  /** Ends the wait for echoes that should have come by now; true: nothing of the slot is awaited. */
  mayLeave(slot: string, nowMs: number): boolean {
    const awaited = this.#slots.get(slot);
    if (awaited === undefined) return true;
    const openedMs = this.#openedMs;
    if (openedMs === undefined) return false;
    const due = nowMs - FIXED_LIMITS.uplinkEchoMsMax;
    const isOver = ({ ackedMs }: Awaited): boolean =>
      ackedMs !== undefined && Math.max(ackedMs, openedMs) <= due;
    const place = awaited.findIndex((one) => !isOver(one));
    this.#drop(slot, awaited, place < 0 ? awaited.length : place);
    return place < 0;
  }

  /** As `mayLeave`, of all that is awaited. */
  sweep(nowMs: number): void {
    for (const slot of [...this.#slots.keys()]) this.mayLeave(slot, nowMs);
  }

  #add(slot: string, one: Awaited): void {
    const awaited = this.#slots.get(slot) ?? [];
    // Last in the map: the slot that was sent the longest time ago comes first.
    this.#slots.delete(slot);
    this.#slots.set(slot, awaited);
    awaited.push(one);
    this.#count += 1;
    const { uplinkEchoesMax, uplinkEchoesPerPropertyMax } = FIXED_LIMITS;
    if (awaited.length > uplinkEchoesPerPropertyMax) this.#drop(slot, awaited, 1);
    if (this.#count <= uplinkEchoesMax) return;
    const [oldest] = this.#slots;
    if (oldest !== undefined) this.#drop(oldest[0], oldest[1], 1);
  }

  #drop(slot: string, awaited: Awaited[], count: number): void {
    awaited.splice(0, count);
    this.#count -= count;
    if (awaited.length === 0) this.#slots.delete(slot);
  }
}
