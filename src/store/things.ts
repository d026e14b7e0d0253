import { z } from "zod";
import { isJsonObject, type JsonObject } from "../thing/json.ts";
import type { Affordances, Thing } from "../thing/thing.ts";
import { affordancesOf } from "../thing/thing-description.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { byThing, everyRow, metaKey, numberOfKey, thingKey } from "./keys.ts";

const jsonObject: z.ZodType<JsonObject> = z.custom<JsonObject>(isJsonObject);

const rowSchema = z.object({
  uid: z.string(),
  account: z.string(),
  id: z.string(),
  created: z.number(),
  modified: z.number(),
  revision: z.number(),
  description: jsonObject,
});

const LAST_NUMBER = metaKey("thing-number");

/** All Things, in memory and on disk: found synchronously, so that no wait stands before a commit. */
export class Things {
  readonly #commit: Commit;
  readonly #byUid = new Map<string, Thing>();
  readonly #byNumber = new Map<number, Thing>();
  readonly #byAccount = new Map<string, Map<string, Thing>>();
  #lastNumber = 0;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    this.#lastNumber = Number(this.#commit.read(LAST_NUMBER) ?? "0");
    const things = await readRows(database, everyRow.thing, (key, row) =>
      makeThing({ ...rowSchema.parse(JSON.parse(row)), number: numberOfKey(key) }),
    );
    for (const thing of things) this.#remember(thing);
    // Should the number itself be lost: what a Thing has left is not another's.
    for (const range of byThing) {
      const [last] = await database.keys({ ...range, reverse: true, limit: 1 }).all();
      if (last !== undefined) this.#lastNumber = Math.max(this.#lastNumber, numberOfKey(last));
    }
  }

  get count(): number {
    return this.#byUid.size;
  }

  /** Numbers of Things are from 1 to this. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** By id or by uid; an id wins over another Thing's uid. */
  find(account: string, idOrUid: string): Thing | undefined {
    const byId = this.#byAccount.get(account)?.get(idOrUid);
    if (byId !== undefined) return byId;
    const byUid = this.#byUid.get(idOrUid);
    return byUid?.account === account ? byUid : undefined;
  }

  byUid(uid: string): Thing | undefined {
    return this.#byUid.get(uid);
  }

  byNumber(number: number): Thing | undefined {
    return this.#byNumber.get(number);
  }

  /** In no particular order. */
  ofAccount(account: string): Iterable<Thing> {
    return this.#byAccount.get(account)?.values() ?? [];
  }

  countOfAccount(account: string): number {
    return this.#byAccount.get(account)?.size ?? 0;
  }

  /** A number no Thing had before. */
  takeNumber(): number {
    this.#lastNumber += 1;
    this.#commit.put(LAST_NUMBER, String(this.#lastNumber));
    return this.#lastNumber;
  }

  /** Adds a Thing or replaces its last revision. */
  put(thing: Thing): void {
    const { uid, account, id, created, modified, revision, description } = thing;
    const row = { uid, account, id, created, modified, revision, description };
    this.#commit.put(thingKey(thing.number), JSON.stringify(row));
    this.#remember(thing);
  }

  delete(thing: Thing): void {
    this.#commit.delete(thingKey(thing.number));
    this.#byUid.delete(thing.uid);
    this.#byNumber.delete(thing.number);
    const ofAccount = this.#byAccount.get(thing.account);
    ofAccount?.delete(thing.id);
    if (ofAccount?.size === 0) this.#byAccount.delete(thing.account);
  }

  #remember(thing: Thing): void {
    this.#byUid.set(thing.uid, thing);
    this.#byNumber.set(thing.number, thing);
    const ofAccount = this.#byAccount.get(thing.account) ?? new Map<string, Thing>();
    ofAccount.set(thing.id, thing);
    this.#byAccount.set(thing.account, ofAccount);
  }
}

/** A Thing from its row: the affordances are read from the description. */
export function makeThing(row: Omit<Thing, keyof Affordances>): Thing {
  return { ...row, ...affordancesOf(row.description) };
}
