import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import type { DownMessage } from "./message.ts";
import { digestOf } from "./same-value.ts";

type Applied = { readonly mark: string; readonly count: number };

const SLOTS = FIXED_LIMITS.uplinkRedeliveriesMax;

/**
 * Knows again a message without an id that upstream sends once more because our acknowledgement got
 * lost: it has DUP, the packet id it had, and its content [MQTT-4.4.0-1]. What was applied is noted in
 * the batch of what it changed, and forgotten as soon as upstream must have the acknowledgement: it
 * has acknowledged something of ours that was sent later, or sends something new on the next line,
 * where what was in flight comes first.
 */
export class Redeliveries {
  readonly #memory: UplinkMemory;
  /** By slot, in the order in which they were applied. */
  readonly #applied = new Map<number, Applied>();
  /** Slots of those that were applied on a line that has ended. */
  readonly #ofOldLine = new Set<number>();
  /** How much was acknowledged when a message of ours was sent, by its number. */
  readonly #sent = new Map<number, number>();
  #count = 0;

  constructor(memory: UplinkMemory) {
    this.#memory = memory;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const mark = memory.note(noteOf(slot));
      if (typeof mark === "string") this.#applied.set(slot, { mark, count: 0 });
    }
  }

  /** Without a session nothing was in flight. */
  lineOpened(sessionPresent: boolean): void {
    this.#sent.clear();
    for (const slot of [...this.#applied.keys()]) {
      if (sessionPresent) this.#ofOldLine.add(slot);
      else this.#forget(slot);
    }
  }

  /** Whether this very message was applied before. */
  isRepeated(message: DownMessage): boolean {
    if (message.qos === 0) return false;
    if (!message.dup) {
      for (const slot of [...this.#ofOldLine]) this.#forget(slot);
      return false;
    }
    const slot = slotOf(message);
    const applied = this.#applied.get(slot);
    if (applied?.mark !== markOf(message)) return false;
    // Acknowledged once more, on this line: that may get lost as well.
    this.#keep(slot, applied.mark);
    return true;
  }

  /** It is applied by the open batch. Returns what `sent` wants to know once it is acknowledged. */
  remember(message: DownMessage): number {
    if (message.qos === 0) return this.#count;
    const slot = slotOf(message);
    const mark = markOf(message);
    this.#keep(slot, mark);
    this.#memory.setNote(noteOf(slot), mark);
    return this.#count;
  }

  /** A message of ours goes up, behind the acknowledgement of the message that was this one. */
  sent(seq: number, acknowledged: number): void {
    this.#sent.set(seq, acknowledged);
    if (this.#sent.size <= SLOTS) return;
    const [oldest] = this.#sent.keys();
    if (oldest !== undefined) this.#sent.delete(oldest);
  }

  /** Upstream has answered it, and so has read what was sent before it. */
  acknowledged(seq: number): void {
    const through = this.#sent.get(seq);
    this.#sent.delete(seq);
    if (through === undefined) return;
    for (const [slot, { count }] of this.#applied) {
      if (count > through) return;
      if (!this.#ofOldLine.has(slot)) this.#forget(slot);
    }
  }

  #keep(slot: number, mark: string): void {
    this.#count += 1;
    this.#ofOldLine.delete(slot);
    this.#applied.delete(slot);
    this.#applied.set(slot, { mark, count: this.#count });
  }

  #forget(slot: number): void {
    this.#applied.delete(slot);
    this.#ofOldLine.delete(slot);
    this.#memory.setNote(noteOf(slot), undefined);
  }
}

function slotOf({ packetId }: DownMessage): number {
  return packetId % SLOTS;
}

function noteOf(slot: number): string {
  return `applied ${slot}`;
}

function markOf({ packetId, topic, payload }: DownMessage): string {
  return `${packetId} ${digestOf(topic)} ${digestOf(payload)}`;
}
