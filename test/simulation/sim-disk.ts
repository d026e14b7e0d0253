import { MemoryLevel } from "memory-level";
import type { Level } from "level";
import { Damage } from "../../src/store/damage.ts";
import { Database } from "../../src/store/database.ts";

type Operation =
  | { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: "del"; readonly key: Buffer };

const NOWHERE = "/nowhere";
const UNHARMED = {
  witness: undefined,
  starts: 1,
  isLogLost: false,
  salvaged: undefined,
  dropped: { records: 0, bytes: 0 },
} as const;

type PendingWrite = {
  readonly operations: readonly Operation[];
  readonly end: () => void;
  readonly fail: (cause: Error) => void;
};

/**
 * A disk that outlives crashes. A write is on it when the world says so: all of a batch or nothing,
 * as LevelDB has it. `crash` takes the machine away at any point between.
 */
export class SimDisk {
  readonly rows = new Map<string, string>();
  #life = 0;
  #pending: PendingWrite[] = [];

  get inFlight(): number {
    return this.#pending.length;
  }

  /** A database of this machine's present life. */
  async open(): Promise<Database> {
    const life = this.#life;
    const database = new Database(NOWHERE, new Damage(NOWHERE), async () => {
      const level = new SimLevel(async (operations) => this.#write(life, operations));
      await level.open();
      await level.load(this.rows);
      return {
        level: level as unknown as Level,
        opening: UNHARMED,
        settle: async () => Promise.resolve(),
        close: async () => level.close(),
      };
    });
    await database.open();
    return database;
  }

  /** The oldest write ends: on disk, and told. */
  endWrite(): void {
    const write = this.#pending.shift();
    if (write === undefined) return;
    this.#apply(write.operations);
    write.end();
  }

  failWrite(cause: Error): void {
    this.#pending.shift()?.fail(cause);
  }

  /** The power goes. Of a write in flight nobody knows whether it reached the disk. */
  crash(wasWritten: boolean): void {
    const [write] = this.#pending;
    if (write !== undefined && wasWritten) this.#apply(write.operations);
    this.#pending = [];
    this.#life += 1;
  }

  async #write(life: number, operations: readonly Operation[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // What a dead machine still tries to write goes nowhere, and never ends.
      if (life === this.#life) this.#pending.push({ operations, end: resolve, fail: reject });
    });
  }

  #apply(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const key = operation.key.toString();
      if (operation.type === "put") this.rows.set(key, operation.value.toString());
      else this.rows.delete(key);
    }
  }
}

type Held = (operations: readonly Operation[]) => Promise<void>;

class SimLevel extends MemoryLevel {
  readonly #held: Held;
  #isLoading = false;

  constructor(held: Held) {
    super({ keyEncoding: "utf8", valueEncoding: "utf8", storeEncoding: "buffer" });
    this.#held = held;
  }

  async load(rows: ReadonlyMap<string, string>): Promise<void> {
    this.#isLoading = true;
    await this.batch([...rows].map(([key, value]) => ({ type: "put" as const, key, value })));
    this.#isLoading = false;
  }

  // abstract-level's private part of `batch`, which chained batches end in as well.
  async _batch(operations: readonly Operation[], options: object): Promise<void> {
    if (!this.#isLoading) await this.#held(operations);
    const applied = MemoryLevel.prototype as unknown as {
      _batch: (operations: readonly Operation[], options: object) => Promise<void>;
    };
    await applied._batch.call(this, operations, options);
  }
}
