import { strict as assert } from "node:assert";
import { GatewayError } from "../errors.ts";
import type { Database } from "./database.ts";

/** Called once with the outcome of a batch: no error means it is on disk. */
export type Settled = (failure: GatewayError | undefined) => void;

type Batch = {
  /** The last value of each key; `undefined` deletes it. */
  readonly rows: Map<string, string | undefined>;
  readonly waiting: Settled[];
};

export type CommitOptions = {
  /** ms that a batch waits for company. 0: written as soon as the one before it is on disk. */
  readonly gatherMs: number;
  /** Called before a batch is closed: last rows may be added. */
  readonly beforeWrite: () => void;
  /** The first failed write. Nothing is acknowledged after it: the handle cannot be trusted again. */
  readonly onFailure: (failure: GatewayError) => void;
};

/**
 * The single writer. What is put in one turn of the event loop lands in one synced batch, all of it
 * or none; one batch is in flight, and what arrives meanwhile is the next.
 *
 * Invariant: batches reach the disk in the order in which they were filled, and callbacks run in the
 * order in which they were registered. LevelDB would reorder two batches issued together.
 */
export class Commit {
  readonly #database: Database;
  readonly #options: CommitOptions;
  #open: Batch = newBatch();
  #inFlight: Batch | undefined;
  #scheduled = false;
  #failure: GatewayError | undefined;
  #batches = 0;
  #rows = 0;

  constructor(database: Database, options: CommitOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** Batches and rows written since the start. */
  get written(): { readonly batches: number; readonly rows: number } {
    return { batches: this.#batches, rows: this.#rows };
  }

  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  put(key: string, value: string): void {
    this.#set(key, value);
  }

  delete(key: string): void {
    this.#set(key, undefined);
  }

  /** The row as it will be once everything put so far is on disk. Synchronous. */
  read(key: string): string | undefined {
    if (this.#open.rows.has(key)) return this.#open.rows.get(key);
    if (this.#inFlight?.rows.has(key) === true) return this.#inFlight.rows.get(key);
    return this.#database.getSync(key);
  }

  /**
   * Calls back when everything put so far is on disk, after everything registered before: at once,
   * within this call, if it already is.
   */
  settled(callback: Settled): void {
    const batch = this.#open.rows.size > 0 ? this.#open : this.#inFlight;
    if (this.#failure !== undefined || batch === undefined) callback(this.#failure);
    else batch.waiting.push(callback);
  }

  /**
   * Resolves when everything put so far is on disk.
   * @throws GatewayError `storage-full` or `storage-failed`.
   */
  async flushed(): Promise<void> {
    if (this.#failure === undefined && this.#open.rows.size === 0 && this.#inFlight === undefined) {
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.settled((failure) => {
        if (failure === undefined) resolve();
        else reject(failure);
      });
    });
  }

  #set(key: string, value: string | undefined): void {
    // After a failure nothing is written, and `settled` tells everybody so.
    if (this.#failure !== undefined) return;
    this.#open.rows.set(key, value);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return;
    this.#scheduled = true;
    // A timer or an immediate, never a microtask: a batch must not close in the middle of a turn.
    if (this.#options.gatherMs > 0) setTimeout(this.#write, this.#options.gatherMs);
    else setImmediate(this.#write);
  }

  readonly #write = (): void => {
    assert(this.#inFlight === undefined, "one batch in flight");
    if (this.#failure !== undefined) return;
    this.#options.beforeWrite();
    const batch = this.#open;
    this.#open = newBatch();
    this.#inFlight = batch;
    // Only now: what `beforeWrite` puts belongs to this batch and must not ask for another.
    this.#scheduled = false;
    this.#writeRows(batch.rows).then(
      () => this.#finish(batch),
      (cause: unknown) => this.#fail(cause),
    );
  };

  async #writeRows(rows: Batch["rows"]): Promise<void> {
    // Chained: 2.8 times faster than an array of operations.
    const chained = this.#database.batch();
    for (const [key, value] of rows) {
      if (value === undefined) chained.del(key);
      else chained.put(key, value);
    }
    await chained.write({ sync: true });
  }

  #finish(batch: Batch): void {
    this.#batches += 1;
    this.#rows += batch.rows.size;
    // Invariant: the batch stays in flight while its callbacks run, so that what one of them
    // registers comes behind those that wait already (the loop sees what is added to it).
    for (const callback of batch.waiting) callback(undefined);
    this.#inFlight = undefined;
    if (this.#open.rows.size > 0) this.#schedule();
  }

  #fail(cause: unknown): void {
    const full = /no space left|ENOSPC|quota/i.test(String(cause));
    const failure = new GatewayError(
      full ? "storage-full" : "storage-failed",
      full ? "the disk is full: a batch was not written" : "a batch could not be written",
      { cause },
    );
    this.#failure = failure;
    const waiting = [...(this.#inFlight?.waiting ?? []), ...this.#open.waiting];
    this.#inFlight = undefined;
    this.#open = newBatch();
    this.#options.onFailure(failure);
    for (const callback of waiting) callback(failure);
  }
}

function newBatch(): Batch {
  return { rows: new Map(), waiting: [] };
}
