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

const NO_STATES: ReadonlyMap<string, PropertyState> = new Map();

/** The latest value of every property of every Thing, in memory and on disk. */
export class PropertyStates {
  readonly #commit: Commit;
  readonly #byThing = new Map<number, Map<string, PropertyState>>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const states = await readRows(database, everyRow.state, (key, row) => {
      return { key, state: rowSchema.parse(JSON.parse(row)) };
    });
    for (const { key, state } of states) {
      this.#statesOf(numberOfKey(key)).set(nameOfStateKey(key), state);
    }
  }

  get(thing: number, name: string): PropertyState | undefined {
    return this.#byThing.get(thing)?.get(name);
  }

  ofThing(thing: number): ReadonlyMap<string, PropertyState> {
    return this.#byThing.get(thing) ?? NO_STATES;
  }

  set(thing: number, name: string, state: PropertyState): void {
    this.#statesOf(thing).set(name, state);
    this.#commit.put(stateKey(thing, name), JSON.stringify(state));
  }

  delete(thing: number, name: string): void {
    const states = this.#byThing.get(thing);
    if (states?.delete(name) !== true) return;
    this.#commit.delete(stateKey(thing, name));
    if (states.size === 0) this.#byThing.delete(thing);
  }

  deleteThing(thing: number): void {
    for (const name of [...this.ofThing(thing).keys()]) this.delete(thing, name);
  }

  #statesOf(thing: number): Map<string, PropertyState> {
    let states = this.#byThing.get(thing);
    if (states === undefined) {
      states = new Map();
      this.#byThing.set(thing, states);
    }
    return states;
  }
}
