import { test, type Test } from "tap";
import type { DeviceConnection } from "../../src/interactions/device-connection.ts";
import { deleteThing, putThing } from "../../src/interactions/provisioning.ts";
import { makeUplinkFilter } from "../../src/interactions/uplink-filter.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { ConnectionNews } from "../../src/uplink/connection-news.ts";
import type { UpMessage } from "../../src/uplink/message.ts";
import { makeTopicMapping } from "../../src/uplink/topic-mapping.ts";
import { ACCOUNT, ADMIN, startHarness } from "../interactions/harness.ts";

const { connectionLookMs, uplinkConnectionsToldMax } = FIXED_LIMITS;

async function open(t: Test, things: readonly string[], filter: readonly string[] | undefined) {
  const { deps, clock } = await startHarness(t);
  const put = (id: string): Thing =>
    putThing(deps, { principal: ADMIN, account: ACCOUNT, thing: id, description: {} }).thing;
  const made = things.map(put);
  const online = new Set<string>();
  const listeners = new Set<(thing: Thing) => void>();
  const of = ({ id }: Thing): DeviceConnection => ({ isOnline: online.has(id), since: undefined });
  const onTold = (callback: (thing: Thing) => void) => {
    listeners.add(callback);
    return () => listeners.delete(callback);
  };
  const sent: UpMessage[] = [];
  const news = new ConnectionNews({
    clock,
    store: deps.store,
    connections: { of, onTold },
    filter: makeUplinkFilter({ filter: filter === undefined ? {} : { things: filter } }),
    mapping: makeTopicMapping({ shape: "mirror", prefix: "x/", accounts: { [ACCOUNT]: "up" } }),
    tell: (message) => sent.push(message),
  });
  t.teardown(() => news.end());
  const change = (thing: Thing, isOnline: boolean): void => {
    if (isOnline) online.add(thing.id);
    else online.delete(thing.id);
    for (const listener of listeners) listener(thing);
  };
  /** Topic and state of what was told within a second; `""` takes back what was retained. */
  const told = () => {
    clock.advance(connectionLookMs);
    return sent.splice(0).map(({ topic, payload, retain }) => {
      t.equal(retain, true);
      const text = payload.toString();
      return [topic, text === "" ? "" : (JSON.parse(text) as { state: string }).state];
    });
  };
  return { deps, news, made, change, told, listeners };
}

const topicOf = (id: string): string => `x/status/up/things/${id}/connection`;

await test("a new line says of every Thing how it stands, and then what changes", async (t) => {
  const { made, change, told } = await open(t, ["boiler", "pump"], undefined);
  t.same(told(), [
    [topicOf("boiler"), "offline"],
    [topicOf("pump"), "offline"],
  ]);
  const [boiler] = made;
  if (boiler === undefined) throw new Error("the boiler was not made");
  t.same(told(), []);
  change(boiler, true);
  t.same(told(), [[topicOf("boiler"), "online"]]);
  change(boiler, false);
  change(boiler, true);
  t.same(told(), [[topicOf("boiler"), "online"]], "as it is when it is told");
});

await test("only of Things the uplink is for", async (t) => {
  const { made, change, told } = await open(t, ["boiler", "pump"], [`${ACCOUNT}/pump`]);
  t.same(told(), [[topicOf("pump"), "offline"]]);
  for (const thing of made) change(thing, true);
  t.same(told(), [[topicOf("pump"), "online"]]);
});

await test("of many a few at a time", async (t) => {
  const ids = Array.from({ length: uplinkConnectionsToldMax + 5 }, (_, index) => `t${index}`);
  const { told } = await open(t, ids, undefined);
  t.equal(told().length, uplinkConnectionsToldMax);
  t.equal(told().length, 5);
  t.equal(told().length, 0);
});

await test("of a Thing that is deleted upstream's broker keeps nothing", async (t) => {
  const { deps, told } = await open(t, ["boiler"], undefined);
  told();
  deleteThing(deps, { principal: ADMIN, account: ACCOUNT, thing: "boiler" });
  t.same(told(), [[topicOf("boiler"), ""]]);
  t.same(told(), []);
});

await test("a line that has ended says nothing", async (t) => {
  const { news, made, change, told, listeners } = await open(t, ["boiler"], undefined);
  news.end();
  for (const thing of made) change(thing, true);
  t.same(told(), []);
  t.equal(listeners.size, 0);
});
