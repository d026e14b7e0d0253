import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import { outboxKey } from "./keys.ts";
import { agesSchema, OutboxAges } from "./outbox-ages.ts";
import { DropRanges, dropRangesSchema } from "./outbox-drops.ts";
import { LossLedger } from "./outbox-ledger.ts";
import { OutboxPages } from "./outbox-pages.ts";
import { NO_AMOUNTS, placeSchema, type Place } from "./outbox-place.ts";
import { UplinkMemory } from "./uplink-memory.ts";

/** What is known of an outbox when it is opened. */
export type Held = {
  readonly place: Place;
  readonly drops: DropRanges;
  readonly ages: OutboxAges;
  readonly ledger: LossLedger;
  readonly pages: OutboxPages;
  readonly memory: UplinkMemory;
};

/** An outbox that begins with a snapshot of what there is at a sequence. */
export function newOutbox(
  commit: Commit,
  uplink: number,
  now: { readonly sequence: number; readonly lastThing: number },
): Held {
  const { sequence: through, lastThing } = now;
  const snapshot = { after: 0, through, lastThing, thing: 1 };
  return held(commit, uplink, {
    next: 1,
    acknowledged: 0,
    parts: [[through, null]],
    snapshots: [snapshot],
    pending: NO_AMOUNTS,
    oldestAt: 0,
    closed: [],
    lost: [],
  });
}

/**
 * Reads where an outbox stands: the same few rows whatever it owes. If that is lost, it owes everything
 * that is in the log, with numbers behind those of the pages it has.
 */
export async function readOutbox(
  database: Database,
  commit: Commit,
  uplink: number,
): Promise<Held> {
  const read = <Row>(of: "place" | "drops" | "ages", parse: (row: unknown) => Row) => {
    const key = outboxKey(uplink, of);
    const row = commit.read(key);
    if (row === undefined) return undefined;
    try {
      return parse(JSON.parse(row));
    } catch {
      database.damage.addRow(key, row);
      return undefined;
    }
  };
  const place = read("place", (row) => placeSchema.parse(row));
  const opened = held(commit, uplink, place ?? (await lostPlace(database, commit, uplink)), {
    drops: new DropRanges(read("drops", (row) => dropRangesSchema.parse(row))),
    ages: new OutboxAges(read("ages", (row) => agesSchema.parse(row))),
  });
  await opened.ledger.load(database);
  await opened.pages.load(database, opened.place.acknowledged);
  await opened.memory.load(database);
  return opened;
}

async function lostPlace(database: Database, commit: Commit, uplink: number): Promise<Place> {
  const pages = new OutboxPages(commit, uplink);
  await pages.load(database, 0);
  const { place } = newOutbox(commit, uplink, { sequence: 0, lastThing: 0 });
  return { ...place, next: pages.last + 1, snapshots: [] };
}

function held(
  commit: Commit,
  uplink: number,
  place: Place,
  { drops = new DropRanges(), ages = new OutboxAges() }: Partial<Pick<Held, "drops" | "ages">> = {},
): Held {
  const ledger = new LossLedger(commit, uplink);
  const pages = new OutboxPages(commit, uplink);
  const memory = new UplinkMemory(commit, uplink);
  return { place, drops, ages, ledger, pages, memory };
}
