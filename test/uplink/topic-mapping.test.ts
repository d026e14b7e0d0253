import { test } from "tap";
import { makeUplinkFilter } from "../../src/interactions/uplink-filter.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import {
  gatewayTopics,
  makeTopicMapping,
  upstreamSubscriptions,
} from "../../src/uplink/topic-mapping.ts";
import { settingsOf } from "./shape-samples.ts";

/** Settings, a topic upstream, and what it is about here. */
const DOWN: readonly (readonly [given: JsonObject, topic: string, expected: string])[] = [
  [{}, "set/site/things/b/properties/t", "set property site/b t"],
  [{}, "set/site/things/b/properties", "set properties site/b"],
  [{}, "set/site/things/b/actions/heat", "set action site/b heat"],
  [{}, "set/site/things/b/events/alarm", "set event site/b alarm"],
  [{}, "set/site/things/b", "set description site/b"],
  [{}, "status/site/things/b/properties/t", "none"],
  [{}, "site/data/b", "none"],
  [{}, "set/site/things/b/nonsense/t", "none"],
  [{}, "set/gateway/things/b", "none"],
  [{ prefix: "p/q/" }, "p/q/set/site/things/b", "set description site/b"],
  [{ prefix: "p/q/" }, "p/set/site/things/b", "none"],
  [{ prefix: "p/q/" }, "set/site/things/b", "none"],
  [{ accounts: { site: "plant" } }, "set/plant/things/b", "set description site/b"],
  [{ accounts: { site: "plant" } }, "set/site/things/b", "none"],
  [{ accounts: { site: "plant" } }, "set/other/things/b", "set description other/b"],
  [{ accounts: { a: "b", b: "a" } }, "set/a/things/x", "set description b/x"],
  [{ shape: "peer" }, "status/site/things/b/properties/t", "status property site/b t"],
  [{ shape: "peer" }, "status/site/things/b/actions/heat", "status action site/b heat"],
  [{ shape: "peer" }, "status/site/things/b", "status description site/b"],
  [{ shape: "peer" }, "status/site/things/b/events/alarm", "none"],
  [{ shape: "peer" }, "status/site/things/b/errors", "none"],
  [{ shape: "peer" }, "set/site/things/b/properties/t", "none"],
  [{ shape: "peer" }, "site/data/b", "none"],
];

await test("a topic upstream is about what is followed, with the account as it is called here", (t) => {
  for (const [given, topic, expected] of DOWN) {
    const down = makeTopicMapping(settingsOf(given)).down(topic);
    const name = `${JSON.stringify(given)} ${topic}`;
    if (down === undefined) {
      t.equal("none", expected, name);
      continue;
    }
    const { kind, account, thing } = down.topic;
    const last = "name" in down.topic ? ` ${down.topic.name}` : "";
    t.equal(`${down.tree} ${kind} ${account}/${thing}${last}`, expected, name);
  }
  t.end();
});

await test("an account that shares its name upstream with none is called so both ways", (t) => {
  const mapping = makeTopicMapping(settingsOf({ accounts: { a: "b", c: "d" } }));
  const names = ["a", "b", "c", "d", "e"].map((account) => mapping.upstreamAccount(account));
  t.same(names, ["b", undefined, "d", undefined, "e"]);
  t.end();
});

const SUBSCRIBED: readonly (readonly [given: JsonObject, filters: readonly string[]])[] = [
  [{}, ["set/a/things/#", "set/b/things/#"]],
  [{ prefix: "p/", accounts: { a: "x" } }, ["p/set/b/things/#", "p/set/x/things/#"]],
  [{ filter: { things: ["a/*"] } }, ["set/a/things/#"]],
  [{ filter: { things: ["a/one", "a/two", "c/*"] } }, ["set/a/things/one/#", "set/a/things/two/#"]],
  [{ filter: { classes: ["event"] } }, ["set/a/things/#", "set/b/things/#"]],
  [
    { shape: "peer", filter: { things: ["a/*"] } },
    ["status/a/things/+ ?", "status/a/things/+/actions/+", "status/a/things/+/properties/+"],
  ],
  [
    { shape: "peer", filter: { things: ["a/one"] } },
    ["status/a/things/one ?", "status/a/things/one/actions/+", "status/a/things/one/properties/+"],
  ],
];

await test("commands are subscribed to for the accounts and Things of the uplink only", (t) => {
  for (const [given, expected] of SUBSCRIBED) {
    const settings = settingsOf(given);
    const [mapping, filter] = [makeTopicMapping(settings), makeUplinkFilter(settings)];
    const subscriptions = upstreamSubscriptions(settings, mapping, filter, ["b", "a"]);
    const shown = subscriptions.map(
      (subscription) => subscription.filter + (subscription.isOptional ? " ?" : ""),
    );
    t.same(shown, expected, JSON.stringify(given));
  }
  t.end();
});

await test("the gateway tells of itself under its oldest account that the uplink is for", (t) => {
  const accounts = [
    { name: "a", created: 5, revision: 1 },
    { name: "b", created: 2, revision: 1 },
    { name: "c", created: 2, revision: 1 },
  ];
  const rows: readonly (readonly [given: JsonObject, status: string | undefined])[] = [
    [{}, "status/b/gateways/G"],
    [{ prefix: "p/", accounts: { b: "x" } }, "p/status/x/gateways/G"],
    [{ filter: { things: ["a/*", "c/boiler"] } }, "status/c/gateways/G"],
    [{ filter: { things: ["d/*"] } }, undefined],
    [{ shape: "peer" }, undefined],
  ];
  for (const [given, expected] of rows) {
    const settings = settingsOf(given);
    const [mapping, filter] = [makeTopicMapping(settings), makeUplinkFilter(settings)];
    const topics = gatewayTopics(settings, mapping, filter, { id: "G", accounts });
    t.equal(topics?.status, expected, JSON.stringify(given));
    t.equal(topics?.gaps, expected === undefined ? undefined : `${expected}/gaps`);
  }
  t.end();
});
