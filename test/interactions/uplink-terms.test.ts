import { test } from "tap";
import {
  settingsOf as known,
  rowOfApi,
  rowOfFile,
  termsOf,
} from "../../src/interactions/kept-uplinks.ts";
import { uplinkTerms } from "../../src/interactions/uplink-terms.ts";
import type { Commit } from "../../src/store/commit.ts";
import { DEFAULT_BOUNDS, type Owable } from "../../src/store/outbox-terms.ts";
import { UplinkMemory } from "../../src/store/uplink-memory.ts";
import type { Uplink } from "../../src/store/uplinks.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { settingsOf } from "../uplink/shape-samples.ts";

const NUMBER = 3;
const boiler = { account: "site", id: "boiler", uid: "01BOILER000000000000000000" };
const value: Owable = { class: "property", thing: 1 };
const came: Owable = { ...value, via: NUMBER };
const elsewhere: Owable = { ...value, via: 9 };
const request = (sequence: number, via?: number): Owable => ({
  class: "action",
  thing: 1,
  request: sequence,
  ...(via === undefined ? {} : { via }),
});

/** Remembers that request 900 stands for one of upstream. */
function memory(): UplinkMemory {
  const forgetful: Pick<Commit, "put"> = { put: () => undefined };
  const kept = new UplinkMemory(forgetful as Commit, NUMBER);
  kept.mapRequest({ at: 1, sequence: 900 }, "/up/X");
  return kept;
}

const ROWS: readonly (readonly [
  what: string,
  given: JsonObject,
  change: Owable,
  isOwed: boolean,
])[] = [
  ["a value", {}, value, true],
  ["what came from upstream: an application sees it happen", {}, came, true],
  ["a request", {}, request(1), true],
  ["a class that is left out", { filter: { classes: ["event"] } }, value, false],
  ["a class that is named", { filter: { classes: ["property"] } }, value, true],
  ["a Thing that is left out", { filter: { things: ["site/pump"] } }, value, false],
  ["a Thing that is named", { filter: { things: ["site/boiler"] } }, value, true],
  ["a value, to a peer", { shape: "peer" }, value, true],
  ["what came from the peer", { shape: "peer" }, came, false],
  ["what came from another", { shape: "peer" }, elsewhere, true],
  ["a request of our own, to a peer", { shape: "peer" }, request(1), false],
  ["the peer's request, as it came", { shape: "peer" }, request(900, NUMBER), false],
  ["what becomes of the peer's request", { shape: "peer" }, request(900), true],
];

await test("what an uplink owes follows from its settings", (t) => {
  for (const [what, given, change, isOwed] of ROWS) {
    const terms = uplinkTerms(settingsOf(given), NUMBER);
    t.equal(terms.isOwed(change, boiler, memory()), isOwed, what);
  }
  const { isOwed } = uplinkTerms(settingsOf({ filter: { things: ["site/pump"] } }), NUMBER);
  t.ok(isOwed(value, undefined, memory()), "of a Thing nobody knows the class decides");
  t.end();
});

await test("a bound that is left out is as the class has it", (t) => {
  const property = { rows: 10, age_s: 60, rule: "latest-only", counts_time_off: true };
  const terms = uplinkTerms(settingsOf({ order: "live-first", bounds: { property } }), NUMBER);
  t.equal(terms.order, "live-first");
  t.same(terms.bounds, {
    ...DEFAULT_BOUNDS,
    property: {
      rows: 10,
      bytes: DEFAULT_BOUNDS.property.bytes,
      ageS: 60,
      rule: "latest-only",
      countsTimeOff: true,
    },
  });
  t.end();
});

const uplinkWith = (settings: JsonObject): Uplink => {
  return {
    number: NUMBER,
    name: "up",
    settings,
    isPaused: false,
    created: 1,
    modified: 1,
    revision: 1,
  };
};

await test("the file decides while it names an uplink", (t) => {
  const inFile = settingsOf({ username: "u", password: "secret" });
  const stored = uplinkWith(rowOfApi(settingsOf({ url: "mqtt://other" })));
  const file = new Map([["up", inFile]]);
  t.same(known(file, stored), { isUsable: true, settings: inFile });
  t.match(known(new Map(), stored), { isUsable: true, settings: { url: "mqtt://other" } });
  t.end();
});

await test("an uplink that the file does not name any more is kept, and not used", (t) => {
  const inFile = settingsOf({
    ...{ username: "u", password: "secret", proxy: "http://me:secret@proxy:3128" },
    filter: { classes: ["event"] },
  });
  const stored = uplinkWith(rowOfFile(inFile));
  t.notMatch(JSON.stringify(stored), /secret/, "what logs in stays in the file");
  const found = known(new Map(), stored);
  t.match(found, {
    isUsable: false,
    reason: /does not name it any more/,
    settings: { username: "u" },
  });
  const terms = termsOf(new Map(), stored);
  t.notOk(terms.isOwed(value, boiler, memory()), "what it owes is still as it was");
  t.end();
});

await test("settings that cannot be read are not used, and nothing is left out", (t) => {
  for (const row of [{}, { settings: { url: "gopher://x" } }, { settings: 3 }]) {
    const stored = uplinkWith(row);
    t.match(known(new Map(), stored), { isUsable: false, reason: /PUT them again/ });
    t.ok(termsOf(new Map(), stored).isOwed(came, boiler, memory()));
  }
  t.end();
});
