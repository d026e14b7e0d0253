import type { Commit } from "./commit.ts";
import { mayFollow, rowOfRun } from "./history-runs.ts";
import { historyKey, type HistorySource, type Moment } from "./keys.ts";

type Run = [Moment, ...Moment[]];

/**
 * Writes the index of the history: which moments a history has. What is added is in the open batch,
 * of a property as one row for all it was given there.
 */
export class HistoryIndex {
  readonly #commit: Commit;
  /** Of the open batch, by number of the Thing and name of the property. */
  readonly #runs = new Map<number, Map<string, Run>>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  /** A change of any time: one of a property was back-filled, or is of another class. */
  add(source: HistorySource, moment: Moment): void {
    this.#commit.put(historyKey(source, moment), "");
  }

  /** A value that a property has taken now. */
  addValue(thing: number, name: string, moment: Moment): void {
    let ofThing = this.#runs.get(thing);
    if (ofThing === undefined) {
      ofThing = new Map<string, Run>();
      this.#runs.set(thing, ofThing);
    }
    const run = ofThing.get(name);
    if (run !== undefined && mayFollow(run, moment)) {
      run.push(moment);
      return;
    }
    if (run !== undefined) this.#put(thing, name, run);
    ofThing.set(name, [moment]);
  }

  /** What a Thing is given from now on shares no row with what it was given before. */
  endRuns(thing: number): void {
    for (const [name, run] of this.#runs.get(thing) ?? []) this.#put(thing, name, run);
    this.#runs.delete(thing);
  }

  /** Puts the rows of the runs into the batch that is about to be closed. */
  writeRuns(): void {
    for (const [thing, ofThing] of this.#runs) {
      for (const [name, run] of ofThing) this.#put(thing, name, run);
    }
    this.#runs.clear();
  }

  #put(thing: number, name: string, run: Run): void {
    this.#commit.put(...rowOfRun({ thing, of: "property", name }, run));
  }
}
