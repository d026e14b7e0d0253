import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { changeKey } from "../../src/store/keys.ts";
import type { Owed } from "../../src/store/outbox-items.ts";
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

await test("what can never be delivered becomes a gap with its number, over a restart too", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  const [first, second] = [site.emit(number), site.emit(number)];
  await site.store.commit.flushed();
  await site.outbox.take("strict", 2);
  site.outbox.giveUp(2, "too-large");
  site.outbox.giveUp(2, "too-large");
  await site.store.commit.flushed();
  await site.reopen();
  const owed = await drain(site);
  t.same(owed.map(told), [...["1 thing 1", "2 gap 2-2 event too-large", `3 event ${second}`]]);
  t.equal(first, 2);
  t.match(site.outbox.state.drops, [{ cause: "too-large", class: "event", count: 1 }]);
});

await test("what a user deletes is not sent any more, and gaps say so", async (t) => {
  const site = await openSite(t);
  const [boiler, lamp] = [site.makeThing("boiler"), site.makeThing("lamp")];
  for (let n = 0; n < 3; n += 1) {
    site.emit(boiler.number);
    site.setValues(lamp.number, { p: n });
  }
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 3)).length, 3, "the first event has a number");
  site.deleteThing(boiler);
  await site.store.retention.sweep();
  await site.reopen();
  const owed = await drain(site);
  t.same(
    owed.map(told).map((text) => text.replace(/^\d+ /, "")),
    [
      ...["thing 1", "thing 2", "gap 3-3 event deleted", "property 4"],
      ...["gap 5-5 event deleted", "property 6", "gap 7-7 event deleted", "property 8", "thing 9"],
    ],
  );
});

await test("what is deleted while it is read is counted once", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  const events = [1, 2, 3].map(() => site.emit(number));
  await site.store.commit.flushed();
  const { database, outboxes, changes } = site.store;
  const iterator = database.iterator.bind(database);
  database.iterator = (range) => {
    const rows = iterator(range);
    const some = async () => {
      const found = await rows.some();
      if (found.some(([key]) => key === changeKey("event", events[1]!))) {
        outboxes.rowGoes("event", events[1]!);
        changes.drop("event", events[1]!);
      }
      return found;
    };
    return { next: async () => rows.next(), close: async () => rows.close(), some } as typeof rows;
  };
  t.same((await drain(site)).map(told), [
    ...["2 gap 1-1 event deleted", "3 thing 1"],
    ...[`4 event ${events[0]!}`, `5 event ${events[2]!}`],
  ]);
  t.match(site.outbox.state.drops, [{ cause: "deleted", count: 1 }]);
});

await test("values of a property that is gone, or must not be read any more, stay here", async (t) => {
  const site = await openSite(t);
  const thing = site.makeThing("boiler");
  site.setValues(thing.number, { p: 1, q: 2 });
  site.setValues(thing.number, { q: 3 });
  const properties = new Map(thing.properties);
  properties.set("q", { ...thing.properties.get("q")!, writeOnly: true });
  site.store.things.put({ ...thing, properties });
  const owed = await drain(site);
  t.same(
    owed.flatMap(({ item }) =>
      item.kind === "change" && item.change.class === "property" ? [item.change.values] : [],
    ),
    [{ p: 1 }],
  );
  t.match(site.outbox.state.drops, [{ cause: "deleted", class: "property", count: 1 }]);
});

await test("what is not owed gets no number", async (t) => {
  const site = await openSite(t, {
    isOwed: (change, subject) =>
      change.via !== 1 && change.class !== "data" && subject?.id !== "hidden",
  });
  const [shown, hidden] = [site.makeThing("shown"), site.makeThing("hidden")];
  site.addDatum(shown.number);
  site.emit(hidden.number);
  const at = site.opened.clock.wall;
  const { changes } = site.store;
  changes.append({ class: "event", thing: shown.number, at, name: "e", via: 1 });
  const other = changes.append({ class: "event", thing: shown.number, at, name: "e", via: 2 });
  changes.appendValues({ thing: shown.number, at, values: "{}", writeOnly: ["p"] });
  t.equal(site.outbox.state.depth.rows, 2);
  t.same((await drain(site)).map(told), ["1 thing 1", `2 event ${other}`]);
  t.same(site.outbox.state.drops, []);
});

await test("new settings lose nothing of what is owed", async (t) => {
  const site = await openSite(t, { order: "live-first" });
  const { number } = site.makeThing("boiler");
  await site.store.commit.flushed();
  site.outbox.rewind();
  for (let n = 0; n < 4; n += 1) site.emit(number);
  await site.store.commit.flushed();
  await site.outbox.take("live", 2);
  site.terms = { ...site.terms, order: "strict" };
  const { revision } = site.outbox.uplink;
  site.store.outboxes.put("cloud", { changed: true });
  t.match(site.outbox.uplink, { settings: { changed: true }, revision: revision + 1, number: 1 });
  t.same(
    (await drain(site)).map(({ seq }) => seq),
    [3, 4, 5],
    "two are under way",
  );
  site.outbox.rewind();
  t.same(
    (await drain(site)).map(({ seq }) => seq),
    [1, 2],
  );
});

await test("an uplink that is deleted leaves nothing, and its number is not given again", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  for (let n = 0; n < 3; n += 1) site.emit(number);
  site.outbox.memory.remember("01J");
  site.outbox.memory.mapRequest({ at: 1, sequence: 2 }, "/up/1");
  site.outbox.memory.setNote("x", 1);
  await site.store.commit.flushed();
  await site.outbox.take("strict", 2);
  site.outbox.giveUp(2, "undeliverable");
  site.store.outboxes.pause("cloud", true);
  await site.reopen();
  t.equal(site.outbox.uplink.isPaused, true);
  t.ok((await site.opened.rows("q:o")).size > 5);
  site.store.outboxes.delete("cloud");
  t.same([...(await site.opened.rows("q:")).keys()], []);
  t.equal(site.store.outboxes.neededFrom("event"), Infinity);
  t.same(await site.outbox.take("strict", 1), []);
  t.equal(site.store.outboxes.put("cloud", {}).uplink.number, 2);
});

await test("whoever had less than was asked for is called when there is more", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  await drain(site);
  let calls = 0;
  const end = site.outbox.onOwed(() => (calls += 1));
  site.emit(number);
  site.emit(number);
  t.equal(calls, 0, "not before it is on disk");
  await site.store.commit.flushed();
  t.equal(calls, 1);
  t.equal((await site.outbox.take("strict", 1)).length, 1);
  site.emit(number);
  await site.store.commit.flushed();
  t.equal(calls, 1, "who has not seen all knows that there is more");
  t.equal((await drain(site)).length, 2);
  end();
  const before = calls;
  site.emit(number);
  await site.store.commit.flushed();
  t.equal(calls, before);
});

await test("who asked for a line that is gone gets nothing of the next one", async (t) => {
  const site = await openSite(t);
  site.makeThing("boiler");
  await site.store.commit.flushed();
  const asked = site.outbox.take("strict", 10);
  site.outbox.rewind();
  t.same(await asked, []);
  t.equal((await site.outbox.take("strict", 10)).length, 1);
});

await test("a change is owed until it is acknowledged", async (t) => {
  const site = await openSite(t, { isOwed: ({ via }) => via === undefined });
  const { number } = site.makeThing("boiler");
  const sequence = site.setValues(number, { p: 1 });
  const { changes } = site.store;
  const at = site.opened.clock.wall;
  const back = changes.append({ class: "property", thing: number, at, values: { p: 2 }, via: 1 });
  const owes = (): boolean => site.outbox.owes("property", sequence);
  t.equal(owes(), true);
  t.equal(site.outbox.owes("property", back), false);
  await site.store.commit.flushed();
  await site.outbox.take("strict", 10);
  t.equal(owes(), true, "under way");
  site.outbox.acknowledge(2);
  t.equal(owes(), false);
});

await test("only what still is so is shown as present", async (t) => {
  const site = await openSite(t);
  const thing = site.makeThing("boiler");
  site.setValues(thing.number, { p: 1 });
  site.setValues(thing.number, { p: 2 });
  site.emit(thing.number);
  const owed = await drain(site);
  t.same(
    owed.map(({ isPresent }) => isPresent),
    [true, false, true, false],
  );
});

await test("what comes while somebody waits for it gets its number in its own batch", async (t) => {
  for (const order of ["strict", "live-first"] as const) {
    const site = await openSite(t, { order });
    const stream = order === "strict" ? "strict" : "live";
    const { number } = site.makeThing("boiler");
    await drain(site);
    site.outbox.rewind();
    t.same(await site.outbox.take(stream, 10), []);
    await site.store.commit.flushed();
    const before = site.store.commit.written.batches;
    const told: Promise<readonly Owed[]>[] = [];
    site.outbox.onOwed(() => told.push(site.outbox.take(stream, 10)));
    const sequences = [site.emit(number), site.emit(number)];
    await site.store.commit.flushed();
    await nextTurn();
    const owed = (await Promise.all(told)).flat();
    t.same(
      owed.map(({ item }) => item.kind === "change" && item.change.sequence),
      sequences,
    );
    t.ok(owed.every(({ isBacklog }) => !isBacklog));
    t.equal(site.store.commit.written.batches, before + 1, "one batch, and no other");
    await site.reopen();
    const again = await site.outbox.take(stream, 10);
    t.same(
      again.map(({ seq, id }) => [seq, id]),
      owed.map(({ seq, id }) => [seq, id]),
    );
  }
});

await test("whether a change is owed may become known in the turn after it is added", async (t) => {
  const site = await openSite(t, {
    isOwed: ({ request }, _, memory) =>
      request === undefined || memory.upstreamOf(request) !== undefined,
  });
  const { number } = site.makeThing("boiler");
  await drain(site);
  const at = site.opened.clock.wall;
  const { changes } = site.store;
  const request = changes.nextSequence;
  const stamp = { thing: number, at, name: "go", request, requestedAt: at, status: "pending" };
  changes.append({ class: "action", ...stamp });
  site.outbox.memory.mapRequest({ at, sequence: request }, "/up/1");
  site.emit(number);
  t.same((await drain(site)).map(told), [`2 action ${request}`, `3 event ${request + 1}`]);
});
