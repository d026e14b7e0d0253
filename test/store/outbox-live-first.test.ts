import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { drain, openSite, told } from "./outbox-site.ts";

await test("live-first: what was there before the line is a stream of its own", async (t) => {
  const site = await openSite(t, { order: "live-first" });
  const { number, revision } = site.makeThing("boiler");
  const before = [revision, ...[1, 2, 3].map(() => site.emit(number))];
  await site.store.commit.flushed();
  site.outbox.rewind();
  const after = [1, 2].map(() => site.emit(number));
  await site.store.commit.flushed();
  const live = await site.outbox.take("live", 10);
  t.same(live.map(told), [`1 event ${after[0]!}`, `2 event ${after[1]!}`]);
  t.ok(live.every(({ isBacklog }) => !isBacklog));
  const backlog = await site.outbox.take("backlog", 2);
  t.same(backlog.map(told), [`3 thing ${before[0]!}`, `4 event ${before[1]!}`]);
  t.ok(backlog.every(({ isBacklog }) => isBacklog));
  site.outbox.acknowledge(2);
  site.outbox.rewind();
  const more = site.emit(number);
  await site.store.commit.flushed();
  const [late] = await site.outbox.take("live", 10);
  t.match(late, { seq: 1, isNew: false, isBacklog: false }, "it is ahead of what is older");
  t.same((await site.outbox.take("live", 10)).map(told), [`7 event ${more}`]);
  const again = await site.outbox.take("backlog", 10);
  t.same(again.map(told), [
    `3 thing ${before[0]!}`,
    ...before.slice(1).map((sequence, n) => `${n + 4} event ${sequence}`),
  ]);
  for (const { seq } of [late!, ...again]) site.outbox.acknowledge(seq);
  t.equal(site.outbox.state.ackedSeq, 6);
  t.same(await site.outbox.take("backlog", 10), []);
});

await test("live-first: what is read while a new line begins is not ahead of what is older", async (t) => {
  const site = await openSite(t, { order: "live-first" });
  const { number, revision } = site.makeThing("boiler");
  const before = [revision, site.emit(number)];
  await site.store.commit.flushed();
  site.outbox.rewind();
  const after = [site.emit(number), site.emit(number)];
  await site.store.commit.flushed();
  const ofOldLine = site.outbox.take("live", 10);
  await nextTurn();
  site.outbox.rewind();
  t.same(await ofOldLine, []);
  t.same(await site.outbox.take("live", 10), [], "it was there before the line");
  t.same(
    (await drain(site, 10, "backlog")).map((owed) => told(owed).replace(/^\d+ \w+ /, "")),
    [...before, ...after].map(String),
  );
});

await test("live-first: what was sent live stays live, over a restart too", async (t) => {
  const site = await openSite(t, { order: "live-first" });
  const { number } = site.makeThing("boiler");
  site.emit(number);
  await site.store.commit.flushed();
  site.outbox.rewind();
  const live = site.emit(number);
  await site.store.commit.flushed();
  t.same((await site.outbox.take("live", 10)).map(told), [`1 event ${live}`]);
  site.emit(number);
  await site.store.commit.flushed();
  site.outbox.rewind();
  for (const { seq, isBacklog } of await drain(site, 10, "backlog")) {
    t.ok(isBacklog, `${seq} is backlog: what is older than the live one, and newer`);
    site.outbox.acknowledge(seq);
  }
  site.outbox.rewind();
  const again = { seq: 1, isNew: false, isBacklog: false };
  t.match(await site.outbox.take("live", 10), [again], "newer backlog has passed it");
  await site.reopen();
  t.match(await site.outbox.take("live", 10), [again], "over a restart");
  site.terms = { ...site.terms, order: "strict" };
  site.store.outboxes.put("cloud", { changed: true });
  site.outbox.rewind();
  t.match(await site.outbox.take("strict", 10), [{ ...again, isBacklog: true }]);
});

await test("outages in live-first leave parts, and never very many", async (t) => {
  const site = await openSite(t, { order: "live-first" });
  const { number } = site.makeThing("boiler");
  const seen = new Set<number>();
  for (let outage = 0; outage < 40; outage += 1) {
    for (let n = 0; n < 3; n += 1) site.emit(number);
    await site.store.commit.flushed();
    site.outbox.rewind();
    site.emit(number);
    await site.store.commit.flushed();
    for (const { seq } of await site.outbox.take("live", 1)) {
      site.outbox.acknowledge(seq);
      seen.add(seq);
    }
  }
  const place = (await site.opened.rows("q:")).get("q:o0001w")!;
  t.ok((JSON.parse(place) as { parts: unknown[] }).parts.length <= 16);
  site.outbox.rewind();
  for (const stream of ["live", "backlog"] as const) {
    for (const { seq } of await drain(site, 100, stream)) seen.add(seq);
  }
  t.same(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: 161 }, (_, n) => n + 1),
  );
});
