import { test } from "tap";
import { makeUplinkFilter } from "../../src/interactions/uplink-filter.ts";

const UID = "01BOILER000000000000000000";
const boiler = { account: "site", id: "boiler", uid: UID };

await test("a filter covers the Things it names, by id or uid, or all of an account", (t) => {
  const rows: readonly (readonly [things: readonly string[] | undefined, isCovered: boolean])[] = [
    [undefined, true],
    [["site/*"], true],
    [["site/boiler"], true],
    [[`site/${UID}`], true],
    [["site/pump", "site/boiler"], true],
    [["site/pump"], false],
    [["site/pump", "site/*"], true],
    [["site/*", "site/pump"], true],
    [["other/boiler", "other/*"], false],
  ];
  for (const [things, isCovered] of rows) {
    const filter = makeUplinkFilter({ filter: things === undefined ? {} : { things } });
    t.equal(filter.coversThing(boiler), isCovered, JSON.stringify(things));
    t.ok(filter.coversClass("event"), "without classes: all");
  }
  t.end();
});

await test("a filter covers the classes it names", (t) => {
  const { coversClass } = makeUplinkFilter({ filter: { classes: ["property", "thing"] } });
  t.same(
    [coversClass("property"), coversClass("event"), coversClass("thing")],
    [true, false, true],
  );
  t.end();
});
