import { z } from "zod";
import { FIXED_LIMITS } from "../limits.ts";
import type { Ids } from "./ids.ts";
import { descriptionContent, stateContent } from "./outbox-content.ts";
import type { Numbered } from "./outbox-pages.ts";
import type { Owable, Subject } from "./outbox-terms.ts";
import type { PropertyStates } from "./properties.ts";
import type { Things } from "./things.ts";

/**
 * Present values that are sent though the log is not read for them, and how far they have been: in the
 * order of Things, then of names. A new uplink begins with all of them and the descriptions.
 */
export const snapshotSchema = z.object({
  /** Values that were set behind this sequence, up to the other: what is newer comes from the log. */
  after: z.number(),
  through: z.number(),
  /** The last Thing there was. */
  lastThing: z.number(),
  thing: z.number(),
  /** Of this Thing all properties up to this name have been read; absent: none has. */
  name: z.string().exactOptional(),
  /** Values that are still to come, of a range that was passed over: without descriptions. */
  carried: z.number().exactOptional(),
});
export type SnapshotPlace = z.infer<typeof snapshotSchema>;

type SnapshotDeps = {
  readonly things: Things;
  readonly properties: PropertyStates;
  readonly ids: Ids;
  readonly isOwed: (change: Owable, subject: Subject) => boolean;
};

/** The next items of a snapshot, and its place behind them. */
export function readSnapshot(
  deps: SnapshotDeps,
  from: SnapshotPlace,
): { readonly items: readonly Numbered[]; readonly place: SnapshotPlace } {
  const { outboxPageItemsMax, outboxPageBytesMax, outboxScannedRowsMax } = FIXED_LIMITS;
  const items: Numbered[] = [];
  let bytes = 0;
  let place = from;
  const isFull = (): boolean => items.length >= outboxPageItemsMax || bytes >= outboxPageBytesMax;
  for (let looked = 0; !isAtEnd(place) && looked < outboxScannedRowsMax; looked += 1) {
    for (const { name, item } of itemsOf(deps, place)) {
      place = { ...place, name };
      if (item === undefined) continue;
      items.push(item);
      bytes += item.content.bytes;
      if (isFull()) return { items, place: less(place, items.length) };
    }
    const { name: _, ...rest } = place;
    place = { ...rest, thing: place.thing + 1 };
  }
  return { items, place: less(place, items.length) };
}

/** Nothing comes any more; what it was to carry all the same has been superseded. */
export function isAtEnd({ thing, lastThing }: SnapshotPlace): boolean {
  return thing > lastThing;
}

function less(place: SnapshotPlace, items: number): SnapshotPlace {
  const { carried } = place;
  return carried === undefined ? place : { ...place, carried: Math.max(0, carried - items) };
}

type NextItem = { readonly name: string; readonly item: Numbered | undefined };

/** Of one Thing, what lies behind the place. A description comes before its properties, with no name. */
function* itemsOf(deps: SnapshotDeps, place: SnapshotPlace): Generator<NextItem> {
  const { things, properties, ids, isOwed } = deps;
  const thing = things.byNumber(place.thing);
  if (thing === undefined) return;
  const { number, modified: at, revision: sequence } = thing;
  if (place.name === undefined && place.carried === undefined) {
    const content = descriptionContent(ids, thing);
    const isOwedOne = isOwed({ class: "thing", thing: number }, thing);
    yield {
      name: "",
      item: isOwedOne ? { ref: { thing: number, at, sequence }, content } : undefined,
    };
  }
  if (!isOwed({ class: "property", thing: number }, thing)) return;
  const names = [...properties.ofThing(number).keys()].sort();
  for (const name of names) {
    if (name <= (place.name ?? "")) continue;
    const state = properties.get(number, name);
    if (state === undefined) continue;
    if (state.sequence <= place.after || state.sequence > place.through) continue;
    const ref = { thing: number, name, at: state.at, sequence: state.sequence };
    yield { name, item: { ref, content: stateContent(ids, thing, name, state) } };
  }
}
