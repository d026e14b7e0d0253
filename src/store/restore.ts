import type { Clock } from "../clock.ts";
import { isJsonObject } from "../thing/json.ts";
import type { Accounts } from "./accounts.ts";
import { openChange, type RecordedChange } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import type { Deletions } from "./deletions.ts";
import { keysOfRow, rangeOfRuns } from "./history-runs.ts";
import {
  changeKey,
  changesOfClass,
  historyKey,
  sequenceOfChangeKey,
  type ChangeClass,
  type HistorySource,
} from "./keys.ts";
import type { LongStep } from "./long-step.ts";
import type { PropertyState, PropertyStates } from "./properties.ts";
import { makeThing, type Things } from "./things.ts";

export type RestoreDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly accounts: Accounts;
  readonly things: Things;
  readonly properties: PropertyStates;
  readonly deletions: Deletions;
  readonly clock: Clock;
};

/** Rows that were made again. */
export type Restored = { readonly things: number; readonly states: number };

/** Changes whose rows of the index are looked for together. */
const CHUNK = 256;

/**
 * Makes again, from the log of changes, what other rows have lost: Things with their accounts, and
 * values. For after a salvage: it reads every change of a property. The index follows later, by
 * `restoreIndexIn`.
 */
export async function restoreFromLog(deps: RestoreDeps, step: LongStep): Promise<Restored> {
  const revisions = await readRevisions(deps);
  let things = 0;
  for (const ofThing of revisions.values()) things += restoreThing(deps, ofThing);
  const newest = new Map<string, Stated>();
  let read = 0;
  const all = changesOfClass("property", 0, Number.MAX_SAFE_INTEGER);
  for await (const changes of changesIn(deps.database, all, "property")) {
    for (const change of changes) {
      for (const stated of statedBy(deps, change)) {
        const { source, state } = stated;
        if (wasRemoved(source, state.sequence, revisions)) continue;
        newest.set(`${source.thing} ${source.name}`, stated);
      }
    }
    read += changes.length;
    await step.goOn(() => ({ things, changes: read }));
  }
  for (const { source, state } of newest.values()) {
    deps.properties.set(source.thing, source.name, state);
  }
  return { things, states: newest.size };
}

/** Makes again the rows of the index that lead to changes from one sequence to another. */
export async function restoreIndexIn(
  deps: RestoreDeps,
  { first, last }: { readonly first: number; readonly last: number },
): Promise<number> {
  let restored = 0;
  let chunk: Indexed[] = [];
  for (const of of ["property", "event", "data"] as const) {
    for await (const changes of changesIn(deps.database, changesOfClass(of, first, last), of)) {
      for (const change of changes) {
        for (const source of sourcesOf(deps, change)) {
          const { sequence, at } = change;
          chunk.push({ source, sequence, at, key: historyKey(source, change) });
        }
        if (chunk.length < CHUNK) continue;
        restored += await restoreIndex(deps, chunk);
        chunk = [];
      }
    }
  }
  return restored + (await restoreIndex(deps, chunk));
}

type Indexed = {
  readonly source: HistorySource;
  readonly sequence: number;
  readonly at: number;
  readonly key: string;
};

async function restoreIndex(deps: RestoreDeps, chunk: readonly Indexed[]): Promise<number> {
  const { database, commit } = deps;
  const rows = await database.getMany(chunk.map(({ key }) => key));
  const absent = await inNoRun(
    database,
    chunk.filter((_, position) => rows[position] === undefined),
  );
  if (absent.length === 0) return 0;
  const revisions = await readRevisions(deps);
  const missing = absent
    .filter(({ source, sequence }) => !wasRemoved(source, sequence, revisions))
    // What was deleted while the disk was asked is not missing.
    .filter(({ source, sequence, key }) => {
      return (
        commit.read(changeKey(source.of, sequence)) !== undefined && commit.read(key) === undefined
      );
    });
  for (const { key } of missing) commit.put(key, "");
  if (missing.length > 0) await commit.flushed();
  return missing.length;
}

/** Those that no row of the index names beside its own moment. */
async function inNoRun(
  database: Database,
  absent: readonly Indexed[],
): Promise<readonly Indexed[]> {
  const found = new Set<string>();
  const missing: Indexed[] = [];
  for (const one of absent) {
    const { source, key, at } = one;
    if (source.of === "property" && !found.has(key)) {
      const runs = { gt: key, lt: rangeOfRuns(source, { before: { at: at + 1, sequence: 0 } }).lt };
      for (const row of await database.iterator(runs).all()) {
        for (const each of keysOfRow(...row)) found.add(each);
      }
    }
    if (!found.has(key)) missing.push(one);
  }
  return missing;
}

type Revision = RecordedChange & { readonly class: "thing" };
type Revisions = ReadonlyMap<number, readonly Revision[]>;

async function readRevisions({ database }: RestoreDeps): Promise<Revisions> {
  const revisions = new Map<number, Revision[]>();
  const all = changesOfClass("thing", 0, Number.MAX_SAFE_INTEGER);
  for await (const changes of changesIn(database, all, "thing")) {
    for (const change of changes) {
      if (change.class !== "thing") continue;
      const ofThing = revisions.get(change.thing);
      if (ofThing === undefined) revisions.set(change.thing, [change]);
      else ofThing.push(change);
    }
  }
  return revisions;
}

/** @returns how many Things were brought back, or brought up to date. */
function restoreThing(deps: RestoreDeps, revisions: readonly Revision[]): number {
  const { things, properties, accounts, clock } = deps;
  const [first, last] = [revisions[0], revisions.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const held = things.byNumber(last.thing);
  if (last.description === undefined) {
    // Deleted: its row has come back from an old table.
    if (held === undefined) return 0;
    properties.deleteThing(held.number);
    things.delete(held);
    return 0;
  }
  if (held !== undefined && held.revision >= last.sequence) return 0;
  const { thing: number, account, id, uid, description } = last;
  if (held === undefined && things.find(account, id) !== undefined) return 0;
  if (!accounts.has(account)) accounts.put({ name: account, created: clock.wallMs(), revision: 1 });
  const created = held?.created ?? first.at;
  const times = { created, modified: last.at, revision: last.sequence };
  things.put(makeThing({ number, account, id, uid, description, ...times }));
  return 1;
}

/** The histories that a change has to be in. */
function sourcesOf(
  { things, deletions }: RestoreDeps,
  change: RecordedChange,
): readonly HistorySource[] {
  const thing = things.byNumber(change.thing);
  if (thing === undefined) return [];
  const { number } = thing;
  const sources = ((): readonly HistorySource[] => {
    switch (change.class) {
      case "property":
        return Object.keys(change.values)
          .filter((name) => thing.properties.get(name)?.writeOnly === false)
          .map((name) => ({ thing: number, of: "property", name }));
      case "event":
        return thing.events.has(change.name)
          ? [{ thing: number, of: "event", name: change.name }]
          : [];
      case "data":
        return [{ thing: number, of: "data", name: "" }];
      case "action":
      case "thing":
        return [];
    }
  })();
  return sources.filter((source) => change.sequence > deletions.throughOf(source));
}

/** A change of several properties stays in the log when one is removed; that one may be back anew. */
function wasRemoved(source: HistorySource, since: number, revisions: Revisions): boolean {
  const { thing, of, name } = source;
  if (of !== "property") return false;
  return (revisions.get(thing) ?? []).some(({ sequence, description }) => {
    if (sequence < since) return false;
    const properties = description?.["properties"];
    if (!isJsonObject(properties) || !Object.hasOwn(properties, name)) return true;
    const schema = properties[name];
    return isJsonObject(schema) && schema["writeOnly"] === true;
  });
}

/** A value that a change gave to a property. */
type Stated = { readonly source: HistorySource; readonly state: PropertyState };

/** The values of a change that the state does not know of. */
function statedBy(deps: RestoreDeps, change: RecordedChange): readonly Stated[] {
  if (change.class !== "property" || change.backfilled === true) return [];
  const { thing, at, sequence, values } = change;
  const isKnown = (name: string): boolean =>
    (deps.properties.get(thing, name)?.sequence ?? 0) >= sequence;
  // As a rule all are known: nothing else is asked then.
  if (Object.keys(values).every(isKnown)) return [];
  return sourcesOf(deps, change).flatMap((source) => {
    const value = values[source.name];
    const isNews = value !== undefined && !isKnown(source.name);
    return isNews ? [{ source, state: { value, at, sequence } }] : [];
  });
}

/** The changes that can be read, some at a time. */
async function* changesIn(
  database: Database,
  range: ReturnType<typeof changesOfClass>,
  of: ChangeClass,
): AsyncGenerator<readonly RecordedChange[]> {
  const rows = database.iterator(range);
  try {
    for (let some = await rows.some(); some.length > 0; some = await rows.some()) {
      yield some.flatMap(([key, row]) => {
        try {
          return [openChange(of, sequenceOfChangeKey(key), row)];
        } catch {
          database.damage.addRow(key, row);
          return [];
        }
      });
    }
  } finally {
    await rows.close();
  }
}
