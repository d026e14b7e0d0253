import { systemClock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { SILENT_LOG, type Log } from "../log.ts";
import { Cursor, type Range, type Source } from "./cursor.ts";
import { Damage, isDamage } from "./damage.ts";
import type { KeyRange } from "./keys.ts";
import { checkTables } from "./level-check.ts";
import { listLevelFolder } from "./level-folder.ts";
import { folderIn, openLevel, type Opening, type OpenLevel } from "./level-opening.ts";
import { isBare, seal, unseal } from "./seal.ts";

type Row = readonly [key: string, row: string];

/**
 * Opens the database under `path`, making it if there never was one. A database that does not open
 * is set aside, and what can be read of it is brought into a new one.
 * @throws GatewayError `storage-failed`; its `cause` is LevelDB's error, `LEVEL_LOCKED` among them,
 * or the file system's.
 */
export async function openDatabase(
  path: string,
  log: Log = SILENT_LOG,
  monotonicMs: () => number = systemClock().monotonicMs,
): Promise<Database> {
  const damage = new Damage(path);
  const database = new Database(folderIn(path), damage, async (isStart) =>
    openLevel(path, damage, { log, monotonicMs, isStart }),
  );
  await database.open();
  return database;
}

/** Every row of a range that can be read, in key order. For start-up and tests: it holds all. */
export async function rowsOf(
  database: Database,
  range: KeyRange,
): Promise<readonly (readonly [key: string, value: string])[]> {
  return database.iterator(range).all();
}

/**
 * The rows of a range, parsed. One that cannot be parsed stops nothing: it is set aside, and told with
 * its key.
 */
export async function readRows<Parsed>(
  database: Database,
  range: KeyRange,
  parse: (key: string, row: string) => Parsed,
): Promise<readonly Parsed[]> {
  const parsed: Parsed[] = [];
  const rows = database.iterator(range);
  try {
    // Some at a time: the texts of all of them need not be in memory at once.
    for (let some = await rows.some(); some.length > 0; some = await rows.some()) {
      for (const [key, row] of some) {
        try {
          parsed.push(parse(key, row));
        } catch {
          database.damage.addRow(key, row);
        }
      }
    }
  } finally {
    await rows.close();
  }
  return parsed;
}

/**
 * The one database: rows of UTF-8 text, each with a checksum, but for the log of changes (which has
 * its own) and the index over it (which has no content). What cannot be read is left out of every
 * answer and told to `damage`.
 */
export class Database {
  readonly damage: Damage;
  readonly #folder: string;
  readonly #openLevel: (isStart: boolean) => Promise<OpenLevel>;
  #opened: OpenLevel | undefined;
  #reopening: Promise<void> | undefined;

  /** `folder` is where the tables are; nothing else is read or written there by this class. */
  constructor(folder: string, damage: Damage, openLevel: (isStart: boolean) => Promise<OpenLevel>) {
    this.damage = damage;
    this.#folder = folder;
    this.#openLevel = openLevel;
  }

  get status(): string {
    return this.#opened?.level.status ?? "closed";
  }

  /** Of the last time it was opened. */
  get opening(): Opening {
    return this.#open.opening;
  }

  /** Opens it, also again after `close`. @throws as `openDatabase`. */
  async open(isStart = true): Promise<void> {
    try {
      this.#opened = await this.#openLevel(isStart);
    } catch (cause) {
      const detail = `could not open the database in ${this.#folder}`;
      throw new GatewayError("storage-failed", detail, { cause });
    }
  }

  /**
   * Closes it and opens it again; reads wait meanwhile, but for `getSync`. A damaged one is left for
   * the next start, which salvages it and tells what is lost.
   * @throws as `openDatabase`.
   */
  async reopen(): Promise<void> {
    const reopening = this.close().then(async () => this.open(false));
    this.#reopening = reopening.catch(() => undefined); // Whoever reads then finds it closed.
    try {
      await reopening;
    } finally {
      this.#reopening = undefined;
    }
  }

  async close(): Promise<void> {
    if (this.status === "open") await this.#opened?.close();
  }

  /** A batch of rows: all of it, or none. */
  batch(): Batch {
    const opened = this.#open;
    const chained = opened.level.batch();
    return {
      put: (key, value) => void chained.put(key, isBare(key, value) ? value : seal(key, value)),
      del: (key) => void chained.del(key),
      write: async (options) => {
        try {
          await chained.write(options);
        } catch (error) {
          // A table that cannot be compacted: without a salvage no write will ever succeed again.
          if (isDamage(error)) this.damage.wantSalvage(String(error));
          throw error;
        }
        await opened.settle();
      },
    };
  }

  /** For tests: one row, synced. */
  async put(key: string, value: string): Promise<void> {
    const batch = this.batch();
    batch.put(key, value);
    await batch.write({ sync: true });
  }

  getSync(key: string): string | undefined {
    try {
      return this.#read(key, this.#open.level.getSync(key));
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.damage.addPlace(error);
      return undefined;
    }
  }

  async get(key: string): Promise<string | undefined> {
    const [row] = await this.getMany([key]);
    return row;
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    await this.#reopening;
    try {
      const rows: readonly (string | undefined)[] = await this.#open.level.getMany([...keys]);
      return rows.map((row, index) => this.#read(keys[index] ?? "", row));
    } catch (error) {
      if (this.#reopening !== undefined) return this.getMany(keys); // It was closed meanwhile.
      if (!isDamage(error)) throw error;
      return keys.map((key) => this.getSync(key));
    }
  }

  /** Rows of a range, in key order. */
  iterator(range: Range): Rows<Row> {
    const rows = this.#cursor<Row>(
      (part) => this.#open.level.iterator(part),
      ([key]) => key,
      range,
    );
    const read = (row: Row | undefined): readonly Row[] => {
      const content = row === undefined ? undefined : this.#read(row[0], row[1]);
      return row === undefined || content === undefined ? [] : [[row[0], content]];
    };
    return {
      next: async () => {
        for (;;) {
          const row = await rows.next();
          if (row === undefined) return undefined;
          const [readable] = read(row);
          if (readable !== undefined) return readable;
        }
      },
      some: async () => {
        for (;;) {
          const some = await rows.some();
          const readable = some.flatMap(read);
          if (readable.length > 0 || some.length === 0) return readable;
        }
      },
      all: async () => (await rows.all()).flatMap(read),
      close: async () => rows.close(),
    };
  }

  /** Contents of a range, in the order of their keys. */
  async *values(range: Range): AsyncGenerator<string> {
    const rows = this.iterator(range);
    try {
      for (let row = await rows.next(); row !== undefined; row = await rows.next()) yield row[1];
    } finally {
      await rows.close();
    }
  }

  /** Keys of a range, in order. */
  keys(range: Range): Rows<string> {
    return this.#cursor<string>(
      (part) => this.#open.level.keys(part),
      (key) => key,
      range,
    );
  }

  /**
   * Looks through all tables, as long as `pause`, asked between any two steps, says to go on. Damage
   * is told, and salvaged at the next opening.
   */
  async checkTables(pause: () => Promise<boolean>): Promise<void> {
    const steps = checkTables(listLevelFolder(this.#folder).tables);
    try {
      for (;;) {
        const step = steps.next();
        if (step.done === true) {
          if (step.value !== undefined) this.damage.addPlace(step.value);
          return;
        }
        if (!(await pause())) return;
      }
    } finally {
      steps.return(undefined);
    }
  }

  #cursor<Item>(
    open: (range: Range) => Source<Item>,
    keyOf: (item: Item) => string,
    range: Range,
  ): Cursor<Item> {
    return new Cursor(
      {
        open,
        whenOpen: async () => this.#reopening,
        keyOf,
        isDamage,
        onDamage: (error) => this.damage.addPlace(error),
      },
      range,
    );
  }

  /** The content of a row; `undefined` if there is none, or it is not what was written. */
  #read(key: string, row: string | undefined): string | undefined {
    if (row === undefined || isBare(key, row)) return row;
    const content = unseal(key, row);
    if (content === undefined) this.damage.addRow(key, row);
    return content;
  }

  get #open(): OpenLevel {
    if (this.#opened === undefined) throw new Error("the database was never open");
    return this.#opened;
  }
}

export type Batch = {
  readonly put: (key: string, value: string) => void;
  readonly del: (key: string) => void;
  /** Resolves when it is on disk, and outlives a power cut. */
  readonly write: (options: { readonly sync: true }) => Promise<void>;
};

/** What an iterator gives. */
export type Rows<Item> = Pick<Cursor<Item>, "next" | "some" | "all" | "close">;
