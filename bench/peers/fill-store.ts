import { systemClock, systemRandom } from "../../src/clock.ts";
import { rowOfApi, termsOf } from "../../src/interactions/kept-uplinks.ts";
import type { Log } from "../../src/log.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { makeThing } from "../../src/store/things.ts";
import { GIVEN_UPLINK } from "../../src/uplink-members.ts";
import { completeUplink } from "../../src/uplink-settings.ts";

// Fills a store as updates of properties would, without asking anybody: STORE ACCOUNT THINGS ROWS
// [UPLINK [URL]]. An uplink of that name owes all of it; without a URL it is paused.

const PROPERTIES = ["temperature", "humidity", "pressure", "battery", "mode"] as const;
const ROWS_A_BATCH = 2_000;
/** One update after the other, this long apart, up to now. */
const SPACING_MS = 1_000;

const [path = "", account = "", things = "0", rows = "0", uplink, url] = process.argv.slice(2);
await fill({ path, account, things: Number(things), rows: Number(rows), uplink, url });
console.log("filled");

async function fill(given: {
  readonly path: string;
  readonly account: string;
  readonly things: number;
  readonly rows: number;
  readonly uplink: string | undefined;
  readonly url: string | undefined;
}): Promise<void> {
  const clock = systemClock("always");
  const log: Log = { error: console.error, warn: console.error, info: silent, debug: silent };
  const endless = { rows: Number.MAX_SAFE_INTEGER, days: 0 };
  const store = await openStore({
    path: given.path,
    window: { gatherMs: 0, syncIntervalMs: 0 },
    quotaBytes: 0,
    history: { property: endless, action: endless, event: endless, data: endless },
    clock,
    random: systemRandom,
    log,
    uplinkTerms: (uplink) => termsOf(new Map(), uplink),
    onFailure: (failure) => {
      throw failure;
    },
  });
  if (given.uplink !== undefined) addUplink(store, given.uplink, given.url);
  const beganMs = clock.wallMs() - given.rows * SPACING_MS;
  const numbers: number[] = [];
  for (let nth = 0; nth < given.things; nth += 1) {
    numbers.push(addThing(store, given.account, nth, beganMs));
    if (nth % ROWS_A_BATCH === 0) await store.commit.flushed();
  }
  for (let nth = 0; nth < given.rows; nth += 1) {
    const thing = numbers[nth % numbers.length] ?? 0;
    addValue(store, thing, nth, beganMs + nth * SPACING_MS);
    if (nth % ROWS_A_BATCH === 0) await store.commit.flushed();
  }
  await store.close();
}

/** Without a URL whoever measures it says where upstream is. */
function addUplink(store: Store, name: string, url: string | undefined): void {
  const read = completeUplink(GIVEN_UPLINK.parse({ url: url ?? "mqtt://127.0.0.1" }));
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  store.outboxes.put(name, rowOfApi(read.settings));
  store.outboxes.pause(name, url === undefined);
}

function addThing(store: Store, account: string, nth: number, at: number): number {
  const properties = Object.fromEntries(
    PROPERTIES.map((name) => [name, { type: "number", minimum: -100, maximum: 100_000 }]),
  );
  const description = {
    "@context": "https://www.w3.org/2022/wot/td/v1.1",
    title: `Device ${nth}`,
    properties,
    actions: { reset: { input: { type: "boolean" } } },
    events: { overheated: { data: { type: "number" } } },
  };
  const number = store.things.takeNumber();
  const id = `device-${nth}`;
  const uid = store.ids.next();
  const stamp = { class: "thing", thing: number, at } as const;
  const revision = store.changes.append({ ...stamp, account, id, uid, description });
  const times = { created: at, modified: at };
  store.things.put(makeThing({ number, uid, account, id, description, revision, ...times }));
  return number;
}

function addValue(store: Store, thing: number, nth: number, at: number): void {
  const name = PROPERTIES[nth % PROPERTIES.length] ?? PROPERTIES[0];
  const value = (nth % 1_000) / 10;
  const sequence = store.changes.append({
    class: "property",
    thing,
    at,
    values: { [name]: value },
  });
  store.properties.set(thing, name, { value, at, sequence });
  store.historyIndex.addValue(thing, name, { at, sequence });
}

function silent(): void {
  // The bench has nothing to say of the store's life cycle.
}
