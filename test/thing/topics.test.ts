import fc from "fast-check";
import { test } from "tap";
import { isAccountName, isAffordanceName, isThingId } from "../../src/thing/thing.ts";
import * as topics from "../../src/thing/topics.ts";

const account = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,12}$/).filter(isAccountName);
const thingId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}$/).filter(isThingId);
const named = fc.record({ account, id: thingId });
const name = fc.string({ unit: "binary", maxLength: 12 }).filter(isAffordanceName);

/** Valid filters and names of few letters, so that random pairs often meet. */
const filter = fc
  .array(fc.constantFrom("", "a", "$s", "+", "#"), { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join("/"))
  .filter(topics.isTopicFilter);
const topicName = fc
  .array(fc.constantFrom("", "a", "b", "$s"), { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join("/"))
  .filter(topics.isTopicName);

/** §4.7 word by word, and as slow as that. */
function naiveMatch(filter: readonly string[], topic: readonly string[]): boolean {
  const [first, ...filterRest] = filter;
  if (first === "#") return true;
  if (first === undefined || topic[0] === undefined) return first === topic[0];
  if (first !== "+" && first !== topic[0]) return false;
  return naiveMatch(filterRest, topic.slice(1));
}

function naiveMatchesFilter(filter: string, topic: string): boolean {
  if (/^[+#]/.test(filter) && topic.startsWith("$")) return false;
  return naiveMatch(filter.split("/"), topic.split("/"));
}

/** All joins of 1 to `depth` levels of the alphabet that are valid. */
function enumerate(
  alphabet: readonly string[],
  depth: number,
  isValid: (text: string) => boolean,
): readonly string[] {
  let longest: readonly string[] = alphabet;
  const all = [...longest];
  for (let level = 1; level < depth; level += 1) {
    longest = longest.flatMap((head) => alphabet.map((tail) => `${head}/${tail}`));
    all.push(...longest);
  }
  return all.filter(isValid);
}

await test("an inbound topic that is built parses back to what it was built from", (t) => {
  fc.assert(
    fc.property(named, name, (thing, name) => {
      const at = { account: thing.account, thing: thing.id };
      const parse = topics.parseInboundTopic;
      t.same(parse(topics.propertySetTopic(thing, name)), { kind: "property", ...at, name });
      t.same(parse(topics.actionSetTopic(thing, name)), { kind: "action", ...at, name });
      t.same(parse(topics.eventSetTopic(thing, name)), { kind: "event", ...at, name });
      t.same(parse(topics.propertiesSetTopic(thing)), { kind: "properties", ...at });
      t.same(parse(topics.descriptionSetTopic(thing)), { kind: "description", ...at });
      t.same(parse(topics.dataTopic(thing)), { kind: "data", ...at });
      t.equal(parse(topics.propertyStatusTopic(thing, name)), undefined);
      t.ok(topics.isTopicName(topics.propertySetTopic(thing, name)));
    }),
    { numRuns: 200 },
  );
  t.end();
});

await test("a status topic that is built parses back to what it was built from", (t) => {
  fc.assert(
    fc.property(named, name, (thing, name) => {
      const at = { account: thing.account, thing: thing.id };
      const parse = topics.parseStatusTopic;
      t.same(parse(topics.propertyStatusTopic(thing, name)), { kind: "property", ...at, name });
      t.same(parse(topics.actionStatusTopic(thing, name)), { kind: "action", ...at, name });
      t.same(parse(topics.eventStatusTopic(thing, name)), { kind: "event", ...at, name });
      t.same(parse(topics.descriptionStatusTopic(thing)), { kind: "description", ...at });
      t.same(parse(topics.errorsTopic(thing)), { kind: "errors", ...at });
      t.same(parse(topics.dataTopic(thing)), { kind: "data", ...at });
      t.equal(parse(topics.propertySetTopic(thing, name)), undefined);
    }),
    { numRuns: 200 },
  );
  t.end();
});

await test("what is not exactly a topic of the gateway does not parse", (t) => {
  const strangers = [
    "",
    "/",
    "set",
    "set/",
    "set/A",
    "set/A/things",
    "set/A/things/",
    "set/A/things/T/",
    "set/A/things/T/properties/",
    "set/A/things/T/properties/a/b",
    "set/A/things/T/properties/.",
    "set/A/things/T/properties/a\u0000",
    "set/A/things/T/property/a",
    "set/A/things/T/propertiesX/a",
    "set/A/things/T/actions",
    "set/A/things/T/events",
    "set/A/things/T/errors",
    "set/A/things/T/x",
    "set/A/things/-T",
    "set/A/things/T T/properties/a",
    "set//things/T/properties/a",
    "set/set/things/T/properties/a",
    "set/gateway/things/T",
    "set/a.b/things/T",
    "set/A/thing/T/properties/a",
    "Set/A/things/T/properties/a",
    "/set/A/things/T/properties/a",
    "A/data",
    "A/data/",
    "A/data/T/x",
    "A/data/-",
    "A/datax/T",
    "data/data/T",
    "set/data/T",
    "$SYS/data/T",
    "A/things/T",
  ];
  for (const topic of strangers)
    t.equal(topics.parseInboundTopic(topic), undefined, JSON.stringify(topic));
  const notStatus = [
    "status/A/things/T/properties",
    "status/A/things/T/errors/",
    "status/A/things/T/errors/x",
    "status/A/things/+/properties/a",
    "status/A/things/T/#",
    "status/A/data/T",
  ];
  for (const topic of notStatus)
    t.equal(topics.parseStatusTopic(topic), undefined, JSON.stringify(topic));
  t.end();
});

await test("names with dots, dashes, spaces and emoji, and uids, are found in topics", (t) => {
  const uid = "01J00000000000000000000000";
  for (const name of ["Fan-status", "content.humidity", "two words", "🌡️", "__proto__", "things"]) {
    t.same(topics.parseInboundTopic(`set/A/things/${uid}/properties/${name}`), {
      kind: "property",
      account: "A",
      thing: uid,
      name,
    });
  }
  t.end();
});

await test("a credential's patterns are the pairs of the contract, in its order", (t) => {
  const pair = (tail: string): object => ({
    pattern_pub: `set/A/things/${tail}`,
    pattern_sub: `status/A/things/${tail}`,
  });
  const three = (thing: string): object[] =>
    ["properties", "actions", "events"].map((kind) => pair(`${thing}/${kind}/#`));
  t.same(
    topics.grantPatterns("A", { entity: "things", thing: "T", definition: false }),
    three("T"),
  );
  t.same(topics.grantPatterns("A", { entity: "things", thing: "+", definition: true }), [
    ...three("+"),
    pair("+"),
  ]);
  t.same(topics.grantPatterns("A", { entity: "data", thing: "T" }), [
    { pattern_pub: "A/data/T", pattern_sub: "A/data/T" },
  ]);
  t.end();
});

await test("the gateway's trees are reserved and everything else is free", (t) => {
  const reserved = [
    "set",
    "set/",
    "set/#",
    "status",
    "status/A",
    "$SYS/broker",
    "$share/g/a",
    "$",
    "A/data",
    "A/data/T",
    "+/data/#",
    "/data",
  ];
  const free = [
    "#",
    "+",
    "+/#",
    "a",
    "data",
    "data/a",
    "sets/a",
    "line1/#",
    "A/datax",
    "/set",
    "/",
  ];
  for (const topic of reserved) t.equal(topics.isReservedTree(topic), true, topic);
  for (const topic of free) t.equal(topics.isReservedTree(topic), false, topic);
  for (const topic of ["set", "set/", "set/A/things/T"]) t.ok(topics.isWithinSetTree(topic), topic);
  for (const topic of ["sets", "status/set", "+/A", "#"]) t.notOk(topics.isWithinSetTree(topic));
  t.end();
});

await test("topic names and filters are what MQTT 3.1.1 §4.7 allows", (t) => {
  const both = ["a", "/", "//", "a/", "/a", "$SYS/x", " ", "é/🌡️", "a".repeat(65_535)];
  const filtersOnly = ["#", "+", "a/#", "+/+", "/+", "+/", "a/+/b", "+/#", "$SYS/#", "/#"];
  const neither = [
    "",
    "a#",
    "#/a",
    "a/#/b",
    "a+",
    "+a/b",
    "a/b+",
    "##",
    "++",
    "#/",
    "a\u0000b",
    "a\ud800",
    "a".repeat(65_536),
    "é".repeat(32_768),
  ];
  for (const text of both) {
    t.equal(topics.isTopicName(text), true, text.slice(0, 20));
    t.equal(topics.isTopicFilter(text), true, text.slice(0, 20));
  }
  for (const text of filtersOnly) {
    t.equal(topics.isTopicName(text), false, text);
    t.equal(topics.isTopicFilter(text), true, text);
  }
  for (const text of neither) {
    t.equal(topics.isTopicName(text), false, JSON.stringify(text.slice(0, 20)));
    t.equal(topics.isTopicFilter(text), false, JSON.stringify(text.slice(0, 20)));
  }
  t.same(["a", "/", "a/b", "a//", "+/#"].map(topics.topicLevels), [1, 2, 2, 3, 2]);
  t.end();
});

await test("a filter matches as the examples of MQTT 3.1.1 §4.7 say", (t) => {
  const table: readonly (readonly [filter: string, topic: string, matches: boolean])[] = [
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["sport/#", "sports", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["sport/+/player1", "sport/tennis/player1", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/x", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/monitor", true],
    ["$SYS/+", "$SYS/monitor", true],
    ["a/#", "a/$b", true],
    ["ACCOUNTS", "Accounts", false],
    ["ab", "a", false],
    ["a", "ab", false],
    ["a/b", "a", false],
    ["a", "a/b", false],
  ];
  for (const [filter, topic, matches] of table) {
    t.equal(topics.matchesFilter(filter, topic), matches, `${filter} on ${topic}`);
  }
  t.end();
});

await test("matching agrees with a naive reading of the standard", (t) => {
  fc.assert(
    fc.property(filter, topicName, (filter, topic) => {
      return topics.matchesFilter(filter, topic) === naiveMatchesFilter(filter, topic);
    }),
    { numRuns: 5_000 },
  );
  t.end();
});

await test("a filter is within another exactly when the other matches all it matches", (t) => {
  const filters = enumerate(["", "a", "$s", "+", "#"], 3, topics.isTopicFilter);
  // One level more and one letter more than the filters have: enough to tell any two apart.
  const names = enumerate(["", "a", "b", "$s", "$t"], 4, topics.isTopicName);
  const matched = filters.map((filter) => names.map((name) => naiveMatchesFilter(filter, name)));
  let wrong = 0;
  for (const [i, inner] of filters.entries()) {
    for (const [o, outer] of filters.entries()) {
      const isWithin = names.every((_, n) => matched[i]![n] !== true || matched[o]![n] === true);
      const overlaps = names.some((_, n) => matched[i]![n] === true && matched[o]![n] === true);
      if (topics.isFilterWithin(inner, outer) !== isWithin) {
        t.fail(`isFilterWithin(${inner}, ${outer}) is not ${isWithin}`);
        wrong += 1;
      }
      if (topics.overlapsFilter(inner, outer) !== overlaps) {
        t.fail(`overlapsFilter(${inner}, ${outer}) is not ${overlaps}`);
        wrong += 1;
      }
    }
  }
  t.equal(wrong, 0, `${filters.length ** 2} pairs of filters`);
  t.end();
});

await test("a longer filter within another never matches a topic the other does not", (t) => {
  fc.assert(
    fc.property(filter, filter, topicName, (inner, outer, topic) => {
      const isCounterExample =
        topics.isFilterWithin(inner, outer) &&
        topics.matchesFilter(inner, topic) &&
        !topics.matchesFilter(outer, topic);
      return !isCounterExample;
    }),
    { numRuns: 20_000 },
  );
  t.end();
});
