import { makeUplinkFilter } from "../../src/interactions/uplink-filter.ts";
import type { RecordedChange } from "../../src/store/changes.ts";
import { makeIds } from "../../src/store/ids.ts";
import type { Owed, OwedItem } from "../../src/store/outbox-items.ts";
import { makeThing } from "../../src/store/things.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import type { ShapeDeps } from "../../src/uplink/draft.ts";
import { gatewayTopics, makeTopicMapping } from "../../src/uplink/topic-mapping.ts";
import { GIVEN_UPLINK } from "../../src/uplink-members.ts";
import { completeUplink, type UplinkSettings } from "../../src/uplink-settings.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { seededRandom } from "../store/random.ts";

export const GATEWAY_ID = "01GATEWAY00000000000000000";
export const AT = Date.UTC(2026, 4, 1, 12);
export const TIME = "2026-05-01T12:00:00.000Z";
export const IDS = makeIds(new ManualClock(), seededRandom(1), 7);

/** Settings as a PUT makes them. */
export function settingsOf(given: JsonObject = {}): UplinkSettings {
  const read = completeUplink(GIVEN_UPLINK.parse({ url: "mqtt://upstream", ...given }));
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return read.settings;
}

/** What maps the messages of an uplink, with one account and one request of upstream's: 900. */
export function shapeDeps(given: JsonObject = {}): ShapeDeps {
  const settings = settingsOf(given);
  const mapping = makeTopicMapping(settings);
  const accounts = [{ name: "site", created: 1, revision: 1 }];
  const gateway = { id: GATEWAY_ID, accounts };
  return {
    settings,
    mapping,
    store: { ids: IDS, gatewayId: GATEWAY_ID },
    memory: {
      upstreamOf: (request) => (request === 900 ? "/up/things/boiler/actions/heat/X" : undefined),
    },
    gapsTopic: gatewayTopics(settings, mapping, makeUplinkFilter(settings), gateway)?.gaps,
  };
}

export const BOILER: Thing = makeThing({
  number: 1,
  uid: "01BOILER000000000000000000",
  account: "site",
  id: "boiler",
  description: {
    title: "Boiler",
    properties: { t: { type: "number" }, mode: {}, pin: { writeOnly: true } },
    actions: { heat: {} },
    events: { alarm: {} },
  },
  created: AT - 1000,
  modified: AT - 500,
  revision: 3,
});

/** A change of the boiler, at AT, as number 40 of the log. */
export function changeOf(
  change: Partial<RecordedChange> & Pick<RecordedChange, "class">,
  thing: Thing | undefined = BOILER,
): OwedItem {
  const stamped = { thing: BOILER.number, at: AT, sequence: 40, ...change };
  return { kind: "change", change: stamped as RecordedChange, thing };
}

/** Owed as number 5. */
export function owed(item: OwedItem, given: Partial<Owed> = {}): Owed {
  const id = IDS.ofMoment({ at: AT, sequence: 40 });
  return {
    seq: 5,
    id,
    at: AT,
    item,
    isNew: true,
    isBacklog: false,
    isPresent: true,
    bytes: 1,
    ...given,
  };
}
