import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import type { Log } from "../../src/log.ts";
import type { Json } from "../../src/thing/json.ts";
import { DEFAULT_BOUNDS, DEFAULT_TERMS, type OutboxTerms } from "../../src/store/outbox-terms.ts";
import { QUIET_LOG } from "./quiet-log.ts";
import { bound, drain, openSite, told, type Site } from "./outbox-site.ts";

const only = (bounds: Partial<OutboxTerms["bounds"]>): OutboxTerms => ({
  ...DEFAULT_TERMS,
  bounds: { ...DEFAULT_BOUNDS, ...bounds },
});

const drops = ({ outbox }: Site): readonly string[] =>
  outbox.state.drops.map(({ cause, class: of, count }) => `${count} ${of ?? "any"} ${cause}`);

async function times(count: number, act: (n: number) => unknown): Promise<void> {
  for (let n = 0; n < count; n += 1) act(n);
  await nextTurn();
}

await test("keep-oldest: what does not fit is not owed, and a gap in its place says so", async (t) => {
  const site = await openSite(t, only({ event: bound({ rows: 3 }) }));
  const { number } = site.makeThing("boiler");
  const first = site.store.changes.sequence + 1;
  await times(5, () => site.emit(number));
  site.setValues(number, { p: 1 });
  site.opened.clock.wall += 1_000;
  await times(4, () => site.emit(number));
  t.equal(site.outbox.state.depth.rows, 5, "the Thing, three events and the value");
  await site.reopen();
  site.emit(number);
  t.same(drops(site), ["7 event bounds-rows"]);
  t.same((await drain(site)).map(told), [
    ...[`1 thing ${first - 1}`, `2 event ${first}`, `3 event ${first + 1}`],
    ...[`4 event ${first + 2}`, "12 gap 5-11 event bounds-rows", `13 property ${first + 5}`],
  ]);
  const later = site.emit(number);
  t.same((await drain(site)).map(told), [`14 event ${later}`], "there is room again");
});

await test("keep-newest: the oldest go, and the gap stands before what is left", async (t) => {
  const site = await openSite(t, only({ property: bound({ rows: 16, rule: "keep-newest" }) }));
  const { number } = site.makeThing("boiler");
  const first = site.store.changes.sequence + 1;
  for (let n = 0; n < 10; n += 1) {
    await times(10, () => site.setValues(number, { p: n }));
    await site.store.commit.flushed();
    await site.outbox.look();
  }
  const { depth } = site.outbox.state;
  t.ok(depth.rows <= 16 && depth.rows >= 14, `${depth.rows} rows are owed`);
  await site.reopen();
  const owed = await drain(site);
  const kept = depth.rows - 1;
  t.equal(told(owed[1]!), `${100 - kept + 2} gap 2-${100 - kept + 1} property bounds-rows`);
  t.equal(told(owed.at(-1)!), `102 property ${first + 99}`);
  t.equal(owed.length, 2 + kept);
  t.same(drops(site), [`${100 - kept} property bounds-rows`]);
});

await test("latest-only: one value of each property, also when the log's rows had to go", async (t) => {
  const site = await openSite(t, only({ property: bound({ rows: 20, rule: "latest-only" }) }));
  const { number } = site.makeThing("boiler");
  site.setValues(number, { q: "once" });
  for (let n = 0; n < 10; n += 1) {
    await times(10, (m) => site.setValues(number, { p: 10 * n + m }));
    await site.store.commit.flushed();
    await site.outbox.look();
  }
  await site.reopen();
  const owed = await drain(site);
  const values = owed.flatMap(({ item }): readonly (readonly [string, Json])[] => {
    if (item.kind === "state") return [[item.name, item.state.value]];
    if (item.kind === "change" && item.change.class === "property") {
      return Object.entries(item.change.values);
    }
    return [];
  });
  t.same(
    [...values].sort(([a], [b]) => a.localeCompare(b)),
    [
      ["p", 99],
      ["q", "once"],
    ],
  );
  t.same(drops(site), ["99 property superseded"]);
  t.equal(owed.at(-1)!.seq, 1 + 101 + owed.filter(({ item }) => item.kind === "gap").length);
});

await test("bytes are bounded as rows are, and by what the disk has", async (t) => {
  const site = await openSite(t, only({ event: bound({ bytes: 400 }) }));
  const { number } = site.makeThing("boiler");
  await times(20, () => site.emit(number));
  t.match(drops(site), [/^1\d event bounds-bytes$/]);
});

await test("a quota is shared by the uplinks, whatever their bounds ask for", async (t) => {
  const event = bound({ bytes: 1_000_000 });
  const little = bound({ bytes: 1_000 });
  const others = { property: little, action: little, data: little, thing: little };
  const site = await openSite(t, only({ event, ...others }), undefined, 400_000);
  site.store.outboxes.put("second", {});
  const { number } = site.makeThing("boiler");
  await site.store.outboxes.look();
  await times(2_000, () => site.emit(number));
  const { depth } = site.outbox.state;
  t.ok(depth.bytes > 50_000 && depth.bytes <= 100_000, `${depth.bytes} of 400,000 bytes`);
});

await test("age is of running time, in sixteenths of the bound", async (t) => {
  const site = await openSite(t, only({ event: bound({ ageS: 1_600, rule: "keep-oldest" }) }));
  const { clock } = site.opened;
  const { number } = site.makeThing("boiler");
  const run = async (seconds: number): Promise<void> => {
    for (let passed = 0; passed < seconds; passed += 10) {
      clock.advance(10_000);
      await site.outbox.look();
    }
  };
  await drain(site);
  site.outbox.rewind();
  await times(3, () => site.emit(number));
  await run(1_500);
  site.store.retention.writeAge(0);
  clock.reboot({ wall: clock.wall + 10 * 86_400_000, synced: true });
  await site.reopen();
  site.emit(number);
  await site.store.commit.flushed();
  t.equal(site.outbox.state.depth.rows, 4, "time off does not count");
  await run(90);
  t.same(drops(site), [], "never early");
  await run(120);
  t.same(drops(site), ["3 event bounds-age"]);
  t.equal(site.outbox.state.depth.rows, 1);
  await run(1_700);
  t.same(drops(site), ["3 event bounds-age", "1 event bounds-age"]);
  t.same((await drain(site)).map(told), ["6 gap 2-5 event bounds-age"]);
});

await test("time powered off counts where the bound says so", async (t) => {
  const event = bound({ ageS: 1_600, countsTimeOff: true });
  const site = await openSite(t, only({ event }));
  const { clock } = site.opened;
  const { number } = site.makeThing("boiler");
  site.emit(number);
  await site.outbox.look();
  clock.reboot({ wall: clock.wall + 2_000_000, synced: true });
  await site.reopen();
  await site.outbox.look();
  t.same(drops(site), ["1 event bounds-age"]);
});

await test("how long it takes until the outbox is full, or empty", async (t) => {
  const site = await openSite(t, only({ event: bound({ rows: 1_000 }) }));
  const { clock } = site.opened;
  const { number } = site.makeThing("boiler");
  await drain(site);
  site.outbox.rewind();
  t.match(site.outbox.state, { fullInS: null, emptyInS: 0 });
  const run = async (rounds: number, acknowledge: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      await times(20, () => site.emit(number));
      await site.store.commit.flushed();
      const taken = acknowledge === 0 ? [] : await site.outbox.take("strict", acknowledge);
      for (const { seq } of taken) site.outbox.acknowledge(seq);
      clock.advance(10_000);
      await site.outbox.look();
    }
  };
  await run(6, 0);
  t.match(site.outbox.state, { fullInS: 440, emptyInS: null });
  t.ok(Math.abs(site.outbox.state.inPerS - 2) < 0.1);
  t.ok(site.outbox.state.outPerS < 0.1);
  site.outbox.rewind();
  await run(30, 22);
  const { emptyInS, outPerS, fullInS } = site.outbox.state;
  t.ok(Math.abs(outPerS - 2.2) < 0.1, `${outPerS} go up a second`);
  t.ok(emptyInS !== null && emptyInS > 100 && emptyInS < 900, `empty in ${emptyInS} s`);
  t.equal(fullInS, null);
});

await test("what is dropped is told in the log, summed up", async (t) => {
  const told: unknown[] = [];
  const warn: Log["warn"] = (event, fields) => told.push([event, fields]);
  const terms = only({ event: bound({ rows: 3 }) });
  const site = await openSite(t, terms, undefined, 0, { ...QUIET_LOG, warn });
  const { number } = site.makeThing("boiler");
  await times(10, () => site.emit(number));
  await site.store.outboxes.look();
  await site.store.outboxes.look();
  await times(2, () => site.emit(number));
  await site.store.outboxes.look();
  const of = { uplink: "cloud", cause: "bounds-rows", class: "event" };
  t.same(told, [
    ["uplink.dropped", { ...of, count: 7 }],
    ["uplink.dropped", { ...of, count: 2 }],
  ]);
});

await test("it is shown a second after the start, and soon after the line has gone", async (t) => {
  const site = await openSite(t, only({ event: bound({ rows: 1_000 }) }));
  const { clock } = site.opened;
  const { number } = site.makeThing("boiler");
  const second = async (isUp: boolean): Promise<void> => {
    await times(10, () => site.emit(number));
    if (isUp) await drain(site);
    clock.advance(1_000);
  };
  await second(false);
  t.match(site.outbox.state, { inPerS: 11, fullInS: 99 });
  for (let n = 0; n < 120; n += 1) await second(true);
  const { fullInS } = site.outbox.state;
  t.ok(fullInS === null || fullInS > 100_000, `${fullInS} s while the line is up`);
  site.outbox.lineEnded();
  for (let n = 0; n < 5; n += 1) await second(false);
  const shown = site.outbox.state.fullInS ?? 0;
  t.ok(shown >= 95 && shown < 140, `${shown} s, 5 s after the cut`);
});

await test("what a start finds waiting does not pass for new", async (t) => {
  const site = await openSite(t, only({ event: bound({ rows: 1_000 }) }));
  const { clock } = site.opened;
  const { number } = site.makeThing("boiler");
  await times(100, () => site.emit(number));
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 1)).length, 1);
  await site.reopen();
  t.equal((await site.outbox.take("strict", 1)).length, 1, "its page has been read");
  clock.advance(10_000);
  t.equal(site.outbox.state.fullInS, null);
});
