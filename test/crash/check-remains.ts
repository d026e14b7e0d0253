import { isFinal } from "../../src/store/action-requests.ts";
import {
  CHANGE_CLASSES,
  requestKey,
  unfinishedKey,
  type HistorySource,
  type Moment,
} from "../../src/store/keys.ts";
import type { RecordedChange } from "../../src/store/changes.ts";
import { pageOf } from "../../src/store/page-counts.ts";
import type { Fault } from "./fault.ts";
import type { Remains } from "./remains.ts";

/**
 * What must hold of the rows whatever was written: they are of whole batches, one after the other.
 * `isSwept`: retention has run, and may have taken rows of deleted Things.
 */
export function checkRemains(remains: Remains, isSwept: boolean): readonly Fault[] {
  return [
    ...remains.damage.map((detail) => ({ rule: "whole", detail }) as const),
    ...checkSequences(remains, isSwept),
    ...checkPages(remains),
    ...checkIndex(remains),
    ...checkStates(remains),
    ...checkThings(remains),
    ...checkRequests(remains),
    ...checkSessions(remains),
  ];
}

function checkSequences({ mark, changes }: Remains, isSwept: boolean): readonly Fault[] {
  const faults: Fault[] = [];
  const lives = isSwept ? livesOfDeleted(changes) : [];
  let expected = 1;
  for (const { sequence } of changes) {
    for (; expected < sequence; expected += 1) {
      const missing = expected;
      if (lives.some(({ from, to }) => from < missing && missing < to)) continue;
      faults.push({ rule: "no-hole", detail: `change ${missing} is missing` });
    }
    expected = sequence + 1;
  }
  const last = expected - 1;
  if (mark.sequence !== last) {
    const detail = `the mark says ${mark.sequence}, the last change is ${last}`;
    faults.push({ rule: "mark", detail });
  }
  for (const of of CHANGE_CLASSES) {
    const count = changes.filter((change) => change.class === of).length;
    if (mark.rows[of] === count) continue;
    const detail = `the mark says ${mark.rows[of]} rows of class ${of}, there are ${count}`;
    faults.push({ rule: "mark", detail });
  }
  return faults;
}

/** By these counts a hole that damage leaves is told from one that was made. */
function checkPages({ mark, pages, changes }: Remains): readonly Fault[] {
  const counted = new Map<string, number>();
  for (const { class: of, sequence } of changes) {
    const place = `page ${pageOf(sequence)}, class ${of}`;
    counted.set(place, (counted.get(place) ?? 0) + 1);
  }
  const faults: Fault[] = [];
  for (const [page, counts] of [...pages, [pageOf(mark.sequence), mark.page] as const]) {
    for (const of of CHANGE_CLASSES) {
      const place = `page ${page}, class ${of}`;
      const count = counted.get(place) ?? 0;
      if (count === counts[of]) counted.delete(place);
      else faults.push({ rule: "mark", detail: `${place}: ${counts[of]} counted, ${count} there` });
    }
  }
  for (const place of counted.keys())
    faults.push({ rule: "mark", detail: `${place} has no count` });
  return faults;
}

/** The sequences between which a Thing was there that is there no more. */
function livesOfDeleted(
  changes: readonly RecordedChange[],
): readonly { readonly from: number; readonly to: number }[] {
  const created = new Map<number, number>();
  return changes.flatMap((change) => {
    if (change.class !== "thing") return [];
    const { thing, sequence } = change;
    if (!created.has(thing)) created.set(thing, sequence);
    if (change.description !== undefined) return [];
    return [{ from: created.get(thing) ?? sequence, to: sequence }];
  });
}

/** Each row of the index leads to its change, and each change has its rows of the index. */
function checkIndex({ changes, index, things, deleted }: Remains): readonly Fault[] {
  const owed = new Set<string>();
  for (const change of changes) {
    if (!things.has(change.thing)) continue;
    for (const source of sourcesOf(change)) owed.add(place(source, change));
  }
  const faults: Fault[] = [];
  for (const { source, moment } of index) {
    if (!things.has(source.thing)) {
      const isLeft = deleted.some(
        ({ thing, through }) => thing === source.thing && moment.sequence <= through,
      );
      if (!isLeft) {
        const detail = `${place(source, moment)} is of no Thing and nobody will sweep it`;
        faults.push({ rule: "index", detail });
      }
    } else if (!owed.delete(place(source, moment))) {
      faults.push({ rule: "index", detail: `${place(source, moment)} has no change` });
    }
  }
  for (const missing of owed) faults.push({ rule: "index", detail: `${missing} has no row` });
  return faults;
}

function sourcesOf(change: RecordedChange): readonly HistorySource[] {
  const { thing } = change;
  switch (change.class) {
    case "property":
      return Object.keys(change.values).map((name) => ({ thing, of: "property", name }));
    case "event":
      return [{ thing, of: "event", name: change.name }];
    case "data":
      return [{ thing, of: "data", name: "" }];
    case "action": // Action requests are rows of their own.
    case "thing":
      return [];
  }
}

function place({ thing, of, name }: HistorySource, { at, sequence }: Moment): string {
  return `${of} ${name} of Thing ${thing} at ${at}, change ${sequence}`;
}

/** The state is the newest change that was not back-filled. */
function checkStates({ changes, states, things }: Remains): readonly Fault[] {
  const expected = new Map<string, string>();
  for (const change of changes) {
    if (change.class !== "property" || change.backfilled === true) continue;
    if (!things.has(change.thing)) continue;
    for (const [name, value] of Object.entries(change.values)) {
      const { at, sequence } = change;
      expected.set(`${change.thing} ${name}`, JSON.stringify({ value, at, sequence }));
    }
  }
  const faults: Fault[] = [];
  for (const { thing, name, value, at, sequence } of states) {
    const key = `${thing} ${name}`;
    const holds = JSON.stringify({ value, at, sequence });
    if (expected.get(key) !== holds) {
      const newest = expected.get(key) ?? "none";
      faults.push({ rule: "state", detail: `${key} holds ${holds}, the newest is ${newest}` });
    }
    expected.delete(key);
  }
  for (const key of expected.keys()) faults.push({ rule: "state", detail: `${key} has no state` });
  return faults;
}

/** A Thing is its newest change, and is there unless that was its deletion. */
function checkThings({ changes, things }: Remains): readonly Fault[] {
  const expected = new Map<number, number>();
  for (const change of changes) {
    if (change.class !== "thing") continue;
    if (change.description === undefined) expected.delete(change.thing);
    else expected.set(change.thing, change.sequence);
  }
  const faults: Fault[] = [];
  for (const [thing, { revision }] of things) {
    if (expected.get(thing) !== revision) {
      const newest = expected.get(thing) ?? "its deletion";
      faults.push({ rule: "things", detail: `${thing} is at ${revision}, the log at ${newest}` });
    }
    expected.delete(thing);
  }
  for (const thing of expected.keys()) faults.push({ rule: "things", detail: `${thing} is lost` });
  return faults;
}

/** A request is its newest change; a pointer to it stands as long as it has not finished. */
function checkRequests(remains: Remains): readonly Fault[] {
  const { changes, requests, things, unfinished, requestKeys } = remains;
  const newest = new Map<number, string>();
  for (const change of changes) {
    if (change.class !== "action" || !things.has(change.thing)) continue;
    newest.set(change.request, `${change.status} since ${change.sequence}`);
  }
  const faults: Fault[] = [];
  const pointers = new Set(unfinished.keys());
  for (const { thing, name, moment, status, revision } of requests) {
    if (!things.has(thing)) continue;
    const holds = `${status} since ${revision}`;
    const logged = newest.get(moment.sequence);
    if (logged !== holds) {
      const detail = `request ${moment.sequence} is ${holds}, in the log ${logged ?? "nothing"}`;
      faults.push({ rule: "requests", detail });
    }
    newest.delete(moment.sequence);
    const pointer = unfinishedKey(thing, moment);
    const isRight = unfinished.get(pointer) === requestKey(thing, name, moment);
    if (isRight === isFinal(status)) {
      const detail = `request ${moment.sequence} is ${status} and its pointer ${isRight ? "stands" : "is missing"}`;
      faults.push({ rule: "requests", detail });
    }
    pointers.delete(pointer);
  }
  for (const pointer of pointers) {
    if (requestKeys.has(unfinished.get(pointer) ?? "")) continue;
    faults.push({ rule: "requests", detail: `${pointer} leads nowhere` });
  }
  for (const [request, logged] of newest) {
    faults.push({ rule: "requests", detail: `request ${request}, ${logged}, has no row` });
  }
  return faults;
}

/** What is owed, and packet ids that are in use, are of sessions that are there. */
function checkSessions({ mqtt, credentials }: Remains): readonly Fault[] {
  const numbers = new Set(mqtt.sessions.map(({ number }) => number));
  const orphans = [...mqtt.queued, ...mqtt.incoming].filter(({ session }) => !numbers.has(session));
  return [
    ...mqtt.sessions
      .filter(({ row }) => !credentials.has(row.credential))
      .map(({ row }) => `session ${row.clientId} belongs to no credential`),
    ...orphans.map(({ session }) => `session ${session} has rows and is not there`),
  ].map((detail) => ({ rule: "sessions", detail }));
}
