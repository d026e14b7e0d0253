import type { Clock } from "../clock.ts";
import type { ChangeLog } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import type { Ids } from "./ids.ts";
import { outboxKey, type ChangeClass } from "./keys.ts";
import { agesSchema, OutboxAges } from "./outbox-ages.ts";
import { DropRanges, dropRangesSchema } from "./outbox-drops.ts";
import { LossLedger } from "./outbox-ledger.ts";
import { OutboxPages } from "./outbox-pages.ts";
import { NO_AMOUNTS, placeSchema, type Amount, type Place } from "./outbox-place.ts";
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
    pages: [],
    live: [],
  });
}

export type OpenDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly ids: Ids;
  readonly clock: Clock;
};

/**
 * Reads where an outbox stands: the same few rows whatever it owes. Pages that are lost become gaps with
 * their numbers.
 */
export async function readOutbox(deps: OpenDeps, uplink: number): Promise<Held> {
  const { database, commit } = deps;
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
  const opened = held(commit, uplink, place ?? (await lostPlace(deps, uplink)), {
    drops: new DropRanges(read("drops", (row) => dropRangesSchema.parse(row))),
    ages: new OutboxAges(read("ages", (row) => agesSchema.parse(row))),
  });
  await opened.ledger.load(database);
  await opened.pages.load(database, opened.place);
  await opened.memory.load(database);
  replaceLostPages(deps, opened);
  return opened;
}

/**
 * All that is in the log is owed again. Its numbers are behind all that can have been given: there are
 * no more than twice as many as changes, but for what a snapshot had.
 */
async function lostPlace(deps: OpenDeps, uplink: number): Promise<Place> {
  const { database, commit, changes, clock } = deps;
  const pages = new OutboxPages(commit, uplink);
  await pages.load(database, { acknowledged: 0, live: [] });
  const { place } = newOutbox(commit, uplink, { sequence: 0, lastThing: 0 });
  const now = clock.wallMs();
  const numbers = 2 * changes.sequence + SNAPSHOT_NUMBERS;
  const skipped = {
    cause: "damaged",
    since: now,
    until: now,
    count: 0,
    bytes: 0,
    numbers,
  } as const;
  // Their bytes become known as they are read.
  const rows = (of: ChangeClass): Amount => ({ rows: changes.rowsOf(of), bytes: 0 });
  const pending = {
    property: rows("property"),
    action: rows("action"),
    event: rows("event"),
    data: rows("data"),
    thing: rows("thing"),
  };
  return { ...place, pending, next: pages.last + 1, snapshots: [], lost: [skipped] };
}

/** More values than a gateway holds. */
const SNAPSHOT_NUMBERS = 1_000_000;

function replaceLostPages({ ids, clock }: OpenDeps, { place, pages, ledger }: Held): void {
  for (const [first, last] of place.pages) {
    if (last <= place.acknowledged || pages.has(first)) continue;
    const now = clock.wallMs();
    const times = { since: now, until: now };
    ledger.add(undefined, "damaged", { count: last - first + 1, bytes: 0, ...times });
    const gap = { from: first, to: last, cause: "damaged", ...times } as const;
    pages.restore({ seq: last, ref: { id: ids.next(), gap } });
  }
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
