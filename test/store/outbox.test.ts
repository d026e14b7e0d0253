import { test } from "tap";
import { drain, openSite, told } from "./outbox-site.ts";

await test("every change is owed in the order of the log, with numbers from 1", async (t) => {
  const site = await openSite(t);
  const thing = site.makeThing("boiler");
  const sequences = [thing.revision];
  for (let round = 0; round < 5; round += 1) {
    sequences.push(site.setValues(thing.number, { p: round }), site.emit(thing.number));
    sequences.push(site.addDatum(thing.number));
  }
  const owed = await drain(site);
  t.same(
    owed.map(({ item }) => (item.kind === "change" ? item.change.sequence : item.kind)),
    sequences,
  );
  t.same(
    owed.map(({ seq }) => seq),
    sequences.map((_, index) => index + 1),
  );
  const { ids } = site.store;
  for (const { id, at, item } of owed) {
    if (item.kind === "change") t.equal(id, ids.ofMoment({ at, sequence: item.change.sequence }));
  }
  t.match(site.outbox.state, { ackedSeq: sequences.length, depth: { rows: 0, bytes: 0 } });
});

await test("a new uplink begins with what is there, then goes on with what comes", async (t) => {
  const site = await openSite(t);
  const boiler = site.makeThing("boiler");
  const lamp = site.makeThing("lamp");
  site.setValues(boiler.number, { q: 1, p: 2 });
  site.setValues(lamp.number, { p: 3 });
  await drain(site);
  site.outbox = site.store.outboxes.put("second", {});
  t.equal(site.outbox.state.snapshotDone, false);
  const at = site.setValues(lamp.number, { p: 4 });
  t.same((await drain(site)).map(told), [
    ...["1 description boiler", "2 state boiler/p 2", "3 state boiler/q 1"],
    ...["4 description lamp", `5 property ${at}`],
  ]);
  t.equal(site.outbox.state.snapshotDone, true);
});

await test("what is not acknowledged is owed again with the same number and id", async (t) => {
  const site = await openSite(t);
  const thing = site.makeThing("boiler");
  for (let n = 0; n < 20; n += 1) site.setValues(thing.number, { p: n });
  await site.store.commit.flushed();
  const first = await site.outbox.take("strict", 100);
  t.equal(first.length, 21);
  for (const { seq } of first.filter(({ seq: number }) => number % 3 !== 1)) {
    site.outbox.acknowledge(seq);
  }
  const left = first.filter(({ seq }) => seq % 3 === 1).map(({ seq, id }) => [seq, id]);
  t.equal(site.outbox.state.ackedSeq, 0);
  t.same(await site.outbox.take("strict", 100), [], "taken once for each line");
  site.outbox.rewind();
  const again = await site.outbox.take("strict", 100);
  t.same(
    again.map(({ seq, id }) => [seq, id]),
    left,
  );
  await site.reopen();
  const after = await site.outbox.take("strict", 100);
  t.same(
    after.filter(({ seq }) => seq % 3 === 1).map(({ seq, id }) => [seq, id]),
    left,
    "over a restart",
  );
  const next = site.setValues(thing.number, { p: 99 });
  await site.store.commit.flushed();
  t.same((await site.outbox.take("strict", 100)).map(told), [`22 property ${next}`]);
});
