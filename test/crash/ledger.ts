/** Where a write goes. The value of a write is the same in all `names` of one map. */
export type Target =
  | { readonly kind: "properties"; readonly thing: string; readonly names: readonly string[] }
  | { readonly kind: "event"; readonly thing: string; readonly name: string }
  | { readonly kind: "data"; readonly thing: string }
  | { readonly kind: "request"; readonly thing: string; readonly name: string }
  | {
      readonly kind: "report";
      readonly thing: string;
      readonly name: string;
      readonly href: string;
      readonly status: "running" | "completed";
    }
  | { readonly kind: "message"; readonly topic: string; readonly retain: boolean };

/** One write of one client, told from every other by its value. */
export type Write = {
  readonly value: number;
  readonly writer: string;
  readonly target: Target;
  /** QoS 2 and HTTP: applied at most once. */
  readonly once: boolean;
  readonly sentAt: number;
  /** A client that was cut off sends again what was not answered. */
  timesSent: number;
  acknowledgedAt: number | undefined;
};

/** How a Thing or a credential stands; between asking and the answer either may be true. */
export type Existence = {
  readonly name: string;
  state: "creating" | "there" | "deleting" | "gone";
  /** `user:password` of a credential. */
  login?: string;
};

/** A property (`thing/name`), or a free topic with a retained message (the topic). */
export type Cell = { readonly name: string; readonly thing: string | undefined };

const VALUES_PER_WRITER = 10_000_000;

/** What was sent and what was acknowledged. Times are ticks of its own: only their order counts. */
export class Ledger {
  readonly #writes = new Map<number, Write>();
  readonly #byCell = new Map<string, Write[]>();
  readonly #lastValue = new Map<string, number>();
  readonly things: Existence[] = [];
  readonly credentials: Existence[] = [];
  #tick = 0;

  get now(): number {
    return this.#tick;
  }

  get counts(): { readonly sent: number; readonly acknowledged: number } {
    const acknowledged = this.acknowledged().length;
    return { sent: this.#writes.size, acknowledged };
  }

  /** Notes a write that is about to be sent; the values of one writer increase. */
  send(writer: string, target: Target, once: boolean): Write {
    const value = this.nextValue(writer);
    this.#lastValue.set(writer, value);
    const sentAt = this.#next();
    const state = { timesSent: 1, acknowledgedAt: undefined };
    const write: Write = { value, writer, target, once, sentAt, ...state };
    this.#writes.set(value, write);
    for (const cell of cellsOf(target)) {
      const ofCell = this.#byCell.get(cell);
      if (ofCell === undefined) this.#byCell.set(cell, [write]);
      else ofCell.push(write);
    }
    return write;
  }

  /** The value of the writer's next write. */
  nextValue(writer: string): number {
    const last = this.#lastValue.get(writer) ?? (this.#lastValue.size + 1) * VALUES_PER_WRITER;
    return last + 1;
  }

  acknowledge(write: Write): void {
    write.acknowledgedAt ??= this.#next();
  }

  get(value: number): Write | undefined {
    return this.#writes.get(value);
  }

  /** Acknowledged up to a tick, in the order of sending. */
  acknowledged(until = this.#tick): readonly Write[] {
    return [...this.#writes.values()].filter((write) => isAcknowledged(write, until));
  }

  /** What was written and holds one value. */
  get cells(): readonly Cell[] {
    return [...this.#byCell].map(([name, [first]]) => {
      const target = first?.target;
      return { name, thing: target?.kind === "properties" ? target.thing : undefined };
    });
  }

  /**
   * Why `value` cannot be what a cell holds, given what was acknowledged by the tick `until`;
   * `undefined`: it may be the last acknowledged write or one sent later.
   */
  whyNotLast(cell: string, value: unknown, until = this.#tick): string | undefined {
    const writes = this.#byCell.get(cell) ?? [];
    const written = writes.findLast((write) => isAcknowledged(write, until));
    if (value === undefined) {
      return written === undefined ? undefined : `holds nothing, ${show(written)} is lost`;
    }
    const holds = writes.find((write) => write.value === value);
    if (holds === undefined) return `holds ${JSON.stringify(value)}, which was never sent there`;
    const newer = writes.find(
      (write) => isAcknowledged(write, until) && isCertainlyAfter(write, holds),
    );
    return newer === undefined ? undefined : `holds ${show(holds)}, ${show(newer)} is lost`;
  }

  #next(): number {
    this.#tick += 1;
    return this.#tick;
  }
}

export function show({ writer, value, acknowledgedAt }: Write): string {
  return `${value} of ${writer} (${acknowledgedAt === undefined ? "sent" : "acknowledged"})`;
}

function isAcknowledged({ acknowledgedAt }: Write, until: number): boolean {
  return acknowledgedAt !== undefined && acknowledgedAt <= until;
}

/**
 * One writer's are applied in its order, with one exception: what it sent at QoS 1 and sends again
 * after a crash is applied again, and comes behind what it sent later at QoS 2, which is not.
 * Between writers only what did not overlap has an order.
 */
function isCertainlyAfter(write: Write, before: Write): boolean {
  if (write.writer === before.writer && (before.once || !write.once)) {
    return write.value > before.value;
  }
  return before.acknowledgedAt !== undefined && write.sentAt > before.acknowledgedAt;
}

function cellsOf(target: Target): readonly string[] {
  if (target.kind === "properties") return target.names.map((name) => `${target.thing}/${name}`);
  return target.kind === "message" && target.retain ? [target.topic] : [];
}
