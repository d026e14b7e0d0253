/** What is asked of an entry here. */
type Waits = {
  readonly counter: number;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** Only the latest on its topic matters. */
  readonly isState: boolean;
};

/**
 * What waits in one session's queue, in order. It always knows which states a newer one behind them
 * replaces, so that making room in a full queue does not look through all of it.
 */
export class Waiting<Entry extends Waits> {
  readonly #entries = new Map<number, Entry>();
  readonly #latestStates = new Map<string, Entry>();
  readonly #replaced = new Set<Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** States that a newer one on their topic replaces, oldest first. May be deleted from meanwhile. */
  get replaced(): Iterable<Entry> {
    return this.#replaced;
  }

  get(counter: number): Entry | undefined {
    return this.#entries.get(counter);
  }

  /** In order. May be deleted from meanwhile. */
  values(): Iterable<Entry> {
    return this.#entries.values();
  }

  latestState(topic: string): Entry | undefined {
    return this.#latestStates.get(topic);
  }

  /** Behind all others: its counter is the highest. */
  add(entry: Entry): void {
    this.#entries.set(entry.counter, entry);
    // QoS 0 goes out at once or not at all.
    if (!entry.isState || entry.qos === 0) return;
    const before = this.#latestStates.get(entry.topic);
    if (before !== undefined) this.#replaced.add(before);
    this.#latestStates.set(entry.topic, entry);
  }

  delete(entry: Entry): void {
    this.#entries.delete(entry.counter);
    this.#replaced.delete(entry);
    if (this.#latestStates.get(entry.topic) === entry) this.#latestStates.delete(entry.topic);
  }
}
