import { z } from "zod";
import type { Json } from "../thing/json.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { everyRow, nameOfStateKey, numberOfKey, stateKey } from "./keys.ts";

/** The latest value of a property. */
export type PropertyState = {
  readonly value: Json;
  /** When it was accepted: ms since the epoch. */
  readonly at: number;
  /** Sequence of the change that set it: the ETag. */
  readonly sequence: number;
};

const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined);
const rowSchema = z.object({ value: json, at: z.number(), sequence: z.number() });

/** The row of a property: written once a batch, however often the value changes in it. */
type StateRow = { readonly key: string; readonly write: () => string };

type ThingStates = {
  readonly values: Map<string, PropertyState>;
  readonly rows: Map<string, StateRow>;
};

const NO_STATES: ReadonlyMap<string, PropertyState> = new Map();

/** The latest value of every property of every Thing, in memory and on disk. */
export class PropertyStates {
  readonly #commit: Commit;
  readonly #byThing = new Map<number, ThingStates>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const states = await readRows(database, everyRow.state, (key, row) => {
      return { key, state: rowSchema.parse(JSON.parse(row)) };
    });
    for (const { key, state } of states) {
      this.#statesOf(numberOfKey(key)).values.set(nameOfStateKey(key), state);
    }
  }

  get(thing: number, name: string): PropertyState | undefined {
    return this.#byThing.get(thing)?.values.get(name);
  }

  ofThing(thing: number): ReadonlyMap<string, PropertyState> {
    return this.#byThing.get(thing)?.values ?? NO_STATES;
  }

  set(thing: number, name: string, state: PropertyState): void {
    const { values, rows } = this.#statesOf(thing);
    values.set(name, state);
    let row = rows.get(name);
    if (row === undefined) {
      row = { key: stateKey(thing, name), write: () => JSON.stringify(values.get(name)) };
      rows.set(name, row);
    }
    this.#commit.put(row.key, row.write);
  }

  delete(thing: number, name: string): void {
    const states = this.#byThing.get(thing);
    if (states?.values.delete(name) !== true) return;
    states.rows.delete(name);
    this.#commit.delete(stateKey(thing, name));
    if (states.values.size === 0) this.#byThing.delete(thing);
  }

  deleteThing(thing: number): void {
    for (const name of [...this.ofThing(thing).keys()]) this.delete(thing, name);
  }

  #statesOf(thing: number): ThingStates {
    let states = this.#byThing.get(thing);
    if (states === undefined) {
      states = { values: new Map(), rows: new Map() };
      this.#byThing.set(thing, states);
    }
    return states;
  }
}
