import { test } from "tap";
import { changeKey } from "../../src/store/keys.ts";
import { assertEmpty } from "./outbox-account.ts";
import { drain, openSite, told } from "./outbox-site.ts";

await test("a change that damage takes is named by a gap", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  const [first, second] = [site.emit(number), site.emit(number)];
  await site.store.commit.flushed();
  await site.store.database.put(changeKey("event", first), "not JSON");
  t.same((await drain(site)).map(told), [
    "2 gap 1-1 event damaged",
    "3 thing 1",
    `4 event ${second}`,
  ]);
  t.match(site.outbox.state.drops, [{ cause: "damaged", class: "event", count: 1 }]);
});

await test("after a lost tail no number is given twice", async (t) => {
  const site = await openSite(t);
  site.makeThing("boiler");
  await drain(site);
  const from = site.store.changes.sequence + 1;
  site.store.gaps.add({ cause: "tail-lost", from, to: from + 999, count: 10 });
  t.same((await drain(site)).map(told), ["1002 gap 2-1001 any tail-lost"]);
});

await test("a page of numbers that damage takes is named by a gap", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  for (let n = 0; n < 3; n += 1) site.emit(number);
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 1)).length, 1);
  const last = site.emit(number);
  await site.store.commit.flushed();
  site.outbox.acknowledge(1);
  await site.store.database.put("q:o0001p00000000001", "not JSON");
  await site.reopen();
  await site.reopen();
  t.same((await drain(site)).map(told), ["4 gap 1-4 any damaged", `5 event ${last}`]);
  t.match(site.outbox.state.drops, [{ cause: "damaged", count: 4 }]);
  await assertEmpty(t, site);
});

await test("where an outbox stands is lost: all is owed again, under numbers nobody had", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  const event = site.emit(number);
  t.equal((await drain(site)).length, 2);
  site.opened.clock.advance(10_000);
  await site.store.commit.flushed();
  await site.store.database.put("q:o0001w", "not JSON");
  await site.reopen();
  t.equal(site.outbox.state.depth.rows, 2);
  const owed = await drain(site);
  t.match(owed[0]!.item, { kind: "gap", gap: { from: 1, cause: "damaged" } });
  t.same(
    owed.slice(1).map(({ item }) => item.kind === "change" && item.change.sequence),
    [1, event],
  );
  t.ok(owed[1]!.seq > 1_000_000);
});
