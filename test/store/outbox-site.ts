import type { Test } from "tap";
import type { Log } from "../../src/log.ts";
import type { Owed, OutboxStream } from "../../src/store/outbox-items.ts";
import {
  DEFAULT_TERMS,
  type OutboxBounds,
  type OutboxTerms,
} from "../../src/store/outbox-terms.ts";
import type { Outbox } from "../../src/store/outbox.ts";
import type { HistoryBounds } from "../../src/store/retention.ts";
import type { Store } from "../../src/store/store.ts";
import { makeThing } from "../../src/store/things.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { openTemporaryStore, type Opened } from "./open-store.ts";
import { QUIET_LOG } from "./quiet-log.ts";
import { recordDatum, recordEvent, recordValues } from "./recording.ts";

/** A store with an uplink whose terms the test sets, and what a device would do to it. */
export type Site = {
  readonly opened: Opened;
  store: Store;
  outbox: Outbox;
  terms: OutboxTerms;
  readonly reopen: () => Promise<void>;
  readonly makeThing: (id: string) => Thing;
  readonly deleteThing: (thing: Thing) => void;
  readonly setValues: (thing: number, values: JsonObject) => number;
  readonly emit: (thing: number) => number;
  readonly addDatum: (thing: number) => number;
};

export const UPLINK = "cloud";

export const bound = (bounds: Partial<OutboxBounds>): OutboxBounds => ({
  ...{ rows: 1_000_000, bytes: 1_000_000_000, ageS: 0, rule: "keep-oldest" },
  ...bounds,
});

export async function openSite(
  t: Test,
  terms: Partial<OutboxTerms> = {},
  history?: HistoryBounds,
  quotaBytes = 0,
  log: Log = QUIET_LOG,
): Promise<Site> {
  const seen = { terms: { ...DEFAULT_TERMS, ...terms } };
  const uplinkTerms = (): OutboxTerms => seen.terms;
  const opened = await openTemporaryStore(t, history, { uplinkTerms, quotaBytes, log });
  const at = (): number => opened.clock.wallMs();
  const site: Site = {
    opened,
    store: opened.store,
    outbox: opened.store.outboxes.put(UPLINK, {}),
    get terms() {
      return seen.terms;
    },
    set terms(given) {
      seen.terms = given;
    },
    reopen: async () => {
      site.store = await opened.reopen();
      site.outbox = site.store.outboxes.get(UPLINK)!;
    },
    makeThing: (id) => {
      const { store } = site;
      const number = store.things.takeNumber();
      const uid = store.ids.next();
      const description = {
        title: id,
        properties: { p: { type: "integer" }, q: { type: "integer" } },
        actions: { go: {} },
        events: { e: {} },
      };
      const named = { account: "site", id, uid, description };
      const change = { class: "thing", thing: number, at: at(), ...named } as const;
      const revision = store.changes.append(change);
      const times = { created: at(), modified: at(), revision };
      const thing = makeThing({ ...named, number, ...times });
      store.things.put(thing);
      return thing;
    },
    deleteThing: ({ number, account, id, uid }) => {
      const { store } = site;
      store.changes.append({ class: "thing", thing: number, at: at(), account, id, uid });
      store.things.delete(store.things.byNumber(number)!);
      store.properties.deleteThing(number);
      store.retention.forget(number);
    },
    setValues: (thing, values) => {
      const { sequence } = recordValues(site.store, thing, at(), values);
      for (const [name, value] of Object.entries(values)) {
        site.store.properties.set(thing, name, { value, at: at(), sequence });
      }
      return sequence;
    },
    emit: (thing) => recordEvent(site.store, thing, at(), "e").sequence,
    addDatum: (thing) => recordDatum(site.store, thing, at()).sequence,
  };
  return site;
}

/** Takes and acknowledges until nothing is owed. */
export async function drain(
  site: Site,
  most = 100,
  stream: OutboxStream = "strict",
): Promise<readonly Owed[]> {
  const all: Owed[] = [];
  for (;;) {
    await site.store.commit.flushed();
    const some = await site.outbox.take(stream, most);
    for (const { seq } of some) site.outbox.acknowledge(seq);
    all.push(...some);
    if (some.length === 0) return all;
  }
}

/** In few words: what tests compare. */
export function told({ seq, item }: Owed): string {
  switch (item.kind) {
    case "change":
      return `${seq} ${item.change.class} ${item.change.sequence}`;
    case "state":
      return `${seq} state ${item.thing.id}/${item.name} ${JSON.stringify(item.state.value)}`;
    case "description":
      return `${seq} description ${item.thing.id}`;
    case "gap": {
      const { from, to, class: of, cause } = item.gap;
      return `${seq} gap ${from}-${to} ${of ?? "any"} ${cause}`;
    }
  }
}
