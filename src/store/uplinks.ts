import { z } from "zod";
import { isJsonObject, type JsonObject } from "../thing/json.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { everyRow, metaKey, numberOfUplinkKey, uplinkKey } from "./keys.ts";

/** One uplink as it was configured. */
export type Uplink = {
  /** Names it in keys on disk and in changes that came by it: counted up from 1, never used again. */
  readonly number: number;
  readonly name: string;
  /** Whoever gave them knows what they mean. */
  readonly settings: JsonObject;
  readonly isPaused: boolean;
  /** ms since the epoch. */
  readonly created: number;
  readonly modified: number;
  /** Counts its changes from 1: the ETag. */
  readonly revision: number;
};

const jsonObject: z.ZodType<JsonObject> = z.custom<JsonObject>(isJsonObject);

const rowSchema = z.object({
  name: z.string(),
  settings: jsonObject,
  isPaused: z.boolean(),
  created: z.number(),
  modified: z.number(),
  revision: z.number(),
});

const LAST_NUMBER = metaKey("uplink-number");

/** All uplinks, in memory and on disk. */
export class Uplinks {
  readonly #commit: Commit;
  readonly #byName = new Map<string, Uplink>();
  #lastNumber = 0;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    this.#lastNumber = Number(this.#commit.read(LAST_NUMBER) ?? "0");
    const uplinks = await readRows(database, everyRow.uplink, (key, row): Uplink => {
      return { number: numberOfUplinkKey(key), ...rowSchema.parse(JSON.parse(row)) };
    });
    for (const uplink of uplinks) {
      this.#byName.set(uplink.name, uplink);
      this.#lastNumber = Math.max(this.#lastNumber, uplink.number);
    }
  }

  get(name: string): Uplink | undefined {
    return this.#byName.get(name);
  }

  /** By name. */
  list(): readonly Uplink[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A number no uplink had before. */
  takeNumber(): number {
    this.#lastNumber += 1;
    this.#commit.put(LAST_NUMBER, String(this.#lastNumber));
    return this.#lastNumber;
  }

  put(uplink: Uplink): void {
    const { number, ...row } = uplink;
    this.#commit.put(uplinkKey(number), JSON.stringify(row));
    this.#byName.set(uplink.name, uplink);
  }

  delete(uplink: Uplink): void {
    this.#commit.delete(uplinkKey(uplink.number));
    this.#byName.delete(uplink.name);
  }
}
