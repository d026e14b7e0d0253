import type { Connection } from "./connection.ts";
import { encodePublish } from "./frames.ts";
import { Histogram } from "./histogram.ts";

const INDEX_DIGITS = 4;
const SEQUENCE_DIGITS = 10;
/** Before the digits: the payload is JSON, so that a gateway that checks it takes it. */
const PAYLOAD_START = '{"p":"';
const PAYLOAD_END = '"}';
/** Where the sequence stands in a payload. */
const SEQUENCE_AT = PAYLOAD_START.length + INDEX_DIGITS;

export type FlowOptions = {
  readonly index: number;
  readonly topic: string;
  readonly payloadBytes: number;
  /** Frames kept ready, and the most that may be under way. */
  readonly window: number;
  /** Somebody is subscribed: a message is complete only when it has been forwarded, too. */
  readonly isForwarded: boolean;
  readonly ack: Histogram;
  readonly forward: Histogram;
};

/**
 * One publisher. Its frames stand ready in a ring, one slot for each message that may be under way;
 * only the sequence is written before one goes out. The packet id is the slot's own.
 */
export class Flow {
  readonly #connection: Pick<Connection, "write">;
  readonly #options: FlowOptions;
  readonly #ring: Buffer;
  readonly #frameBytes: number;
  readonly #sequenceAt: number;
  /** When the message in each slot was sent, or was due. */
  readonly #since: Float64Array;
  #sent = 0;
  #acked = 0;
  /** Every message below has been forwarded, or has been overtaken. */
  #forwardedThrough = 0;
  readonly #missing = new Set<number>();
  #received = 0;
  #reordered = 0;
  #duplicated = 0;

  constructor(connection: Pick<Connection, "write">, options: FlowOptions) {
    this.#connection = connection;
    this.#options = options;
    const { window, topic } = options;
    const payload = payloadOf(options.index, options.payloadBytes);
    const frames = Array.from({ length: window }, (_, slot) =>
      encodePublish(slot + 1, topic, payload),
    );
    this.#ring = Buffer.concat(frames);
    this.#frameBytes = this.#ring.length / window;
    this.#sequenceAt = this.#frameBytes - payload.length + SEQUENCE_AT;
    this.#since = new Float64Array(window);
  }

  get sent(): number {
    return this.#sent;
  }

  get acked(): number {
    return this.#acked;
  }

  /** Messages that need no longer be waited for: they have gone through, or been overtaken. */
  get completed(): number {
    const { isForwarded } = this.#options;
    return isForwarded ? Math.min(this.#acked, this.#forwardedThrough) : this.#acked;
  }

  /** Messages that have arrived at the subscriber, each counted once; without one, acknowledged. */
  get delivered(): number {
    return this.#options.isForwarded ? this.#received : this.#acked;
  }

  /** Overtaken or never seen, so far. */
  get lost(): number {
    return this.#options.isForwarded
      ? this.#missing.size + Math.max(0, this.#acked - this.#forwardedThrough)
      : 0;
  }

  get reordered(): number {
    return this.#reordered;
  }

  get duplicated(): number {
    return this.#duplicated;
  }

  get free(): number {
    return this.#options.window - (this.#sent - this.completed);
  }

  /** Sends so many messages, at most `free`, in one or two writes. */
  send(count: number, sinceMs: (nth: number) => number): void {
    const { window } = this.#options;
    const first = this.#sent % window;
    for (let nth = 0; nth < count; nth += 1) {
      const sequence = this.#sent + nth;
      const slot = sequence % window;
      writeDigits(this.#ring, slot * this.#frameBytes + this.#sequenceAt, sequence);
      this.#since[slot] = sinceMs(nth);
    }
    this.#sent += count;
    const untilEnd = Math.min(count, window - first);
    this.#write(first, untilEnd);
    if (untilEnd < count) this.#write(0, count - untilEnd);
  }

  onPuback(packetId: number, nowMs: number): void {
    this.#acked += 1;
    this.#options.ack.add(nowMs - (this.#since[packetId - 1] ?? nowMs));
  }

  onForwarded(sequence: number, nowMs: number): void {
    const ahead = sequence - this.#forwardedThrough;
    if (ahead < 0) {
      if (this.#missing.delete(sequence)) {
        this.#reordered += 1;
        this.#received += 1;
      } else {
        this.#duplicated += 1;
      }
      return;
    }
    this.#received += 1;
    for (let overtaken = this.#forwardedThrough; overtaken < sequence; overtaken += 1) {
      this.#missing.add(overtaken);
    }
    this.#forwardedThrough = sequence + 1;
    this.#options.forward.add(nowMs - (this.#since[sequence % this.#options.window] ?? nowMs));
  }

  #write(slot: number, count: number): void {
    const from = slot * this.#frameBytes;
    this.#connection.write(this.#ring.subarray(from, from + count * this.#frameBytes));
  }
}

/** Whose message a payload is, and which. */
export function readPayload(
  bytes: Buffer,
  from: number,
): { readonly index: number; readonly sequence: number } {
  return {
    index: readDigits(bytes, from + PAYLOAD_START.length, INDEX_DIGITS),
    sequence: readDigits(bytes, from + SEQUENCE_AT, SEQUENCE_DIGITS),
  };
}

function payloadOf(index: number, length: number): Buffer {
  const head = PAYLOAD_START + String(index).padStart(INDEX_DIGITS, "0");
  const digits = "0".repeat(SEQUENCE_DIGITS);
  return Buffer.from((head + digits).padEnd(length - PAYLOAD_END.length, "x") + PAYLOAD_END);
}

function writeDigits(bytes: Buffer, at: number, value: number): void {
  let rest = value;
  for (let digit = at + SEQUENCE_DIGITS - 1; digit >= at; digit -= 1) {
    bytes[digit] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

function readDigits(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let digit = at; digit < at + count; digit += 1) {
    value = value * 10 + (bytes[digit] ?? 48) - 48;
  }
  return value;
}
