import fc from "fast-check";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test, type Test } from "tap";
import type { ChangeClass } from "../../src/store/keys.ts";
import type { Owed, OutboxStream } from "../../src/store/outbox-items.ts";
import type { OutboxRule, OutboxTerms } from "../../src/store/outbox-terms.ts";
import type { HistoryBounds } from "../../src/store/retention.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { Account, assertEmpty } from "./outbox-account.ts";
import { bound, openSite, type Site } from "./outbox-site.ts";

const SEED = 20261122;
const RUNS = 30;
/** Less history than most outboxes owe: sweeping must leave what is owed. */
const FEW: HistoryBounds = {
  property: { rows: 5, days: 0 },
  action: { rows: 5, days: 0 },
  event: { rows: 5, days: 0 },
  data: { rows: 5, days: 0 },
};
const THINGS = 3;

type Step =
  | { readonly do: "set" | "emit" | "datum"; readonly thing: number; readonly times: number }
  | { readonly do: "take"; readonly most: number; readonly acknowledge: readonly boolean[] }
  | { readonly do: "give-up" | "rewind" | "restart" | "look" | "sweep" | "race" }
  | { readonly do: "delete"; readonly thing: number }
  | { readonly do: "wait"; readonly ms: number };

const thing = fc.nat(THINGS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("set", "emit", "datum"),
      thing,
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("take"),
      most: fc.integer({ min: 1, max: 20 }),
      acknowledge: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("give-up", "rewind", "restart", "look", "sweep", "race"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete"), thing }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.nat(40_000) }) },
);

const rule = fc.constantFrom<OutboxRule>("keep-oldest", "keep-newest", "latest-only");
const bounds = fc.record({
  rows: fc.constantFrom(3, 10, 25, 1_000),
  bytes: fc.constantFrom(1_000, 1_000_000),
  ageS: fc.constantFrom(0, 0, 60),
  rule,
});
const terms: fc.Arbitrary<Pick<OutboxTerms, "order" | "bounds">> = fc.record({
  order: fc.constantFrom("strict", "live-first"),
  bounds: fc.record({
    property: bounds,
    action: fc.constant(bound({})),
    event: bounds,
    data: bounds,
    thing: fc.constant(bound({})),
  }),
});

/** What happened in one run: what was accepted, and what upstream has of it. */
type Run = {
  readonly site: Site;
  readonly account: Account;
  readonly appended: Map<number, ChangeClass>;
  readonly things: readonly Thing[];
  taken: readonly Owed[];
  /** By stream, the newest change that the line has got. */
  readonly newest: Map<OutboxStream, number>;
  readonly disorder: string[];
};

async function take(run: Run, most: number): Promise<readonly Owed[]> {
  const { site } = run;
  const streams: readonly OutboxStream[] =
    site.terms.order === "strict" ? ["strict"] : ["live", "backlog"];
  const taken: Owed[] = [];
  for (const stream of streams) {
    const some = await site.outbox.take(stream, most);
    noteOrder(run, stream, some);
    taken.push(...some);
  }
  run.account.note(taken);
  run.taken = [...run.taken, ...taken];
  return taken;
}

/** What a line gets of a stream is in the order of the log. */
function noteOrder(
  { site, newest, disorder }: Run,
  stream: OutboxStream,
  some: readonly Owed[],
): void {
  for (const { id, item } of some) {
    if (item.kind === "gap") continue;
    const sequence = site.store.ids.momentOf(id)?.sequence ?? 0;
    const before = newest.get(stream) ?? 0;
    if (sequence < before) disorder.push(`${stream}: ${sequence} behind ${before}`);
    newest.set(stream, sequence);
  }
}

async function act(run: Run, now: Step): Promise<void> {
  const { site, appended, things } = run;
  const { clock } = site.opened;
  switch (now.do) {
    case "set":
    case "emit":
    case "datum": {
      const one = things[now.thing]!;
      if (site.store.things.byNumber(one.number) === undefined) return;
      for (let n = 0; n < now.times; n += 1) {
        clock.wall += 1;
        if (now.do === "set") appended.set(site.setValues(one.number, { p: n }), "property");
        else if (now.do === "emit") appended.set(site.emit(one.number), "event");
        else appended.set(site.addDatum(one.number), "data");
      }
      // Sometimes it is on disk before what comes next, sometimes not.
      if (now.times % 2 === 0) await site.store.commit.flushed();
      return;
    }
    case "take": {
      const taken = await take(run, now.most);
      for (const [index, { seq }] of taken.entries()) {
        if (now.acknowledge[index % now.acknowledge.length] === true) site.outbox.acknowledge(seq);
      }
      return;
    }
    case "give-up": {
      const seq = run.taken.at(-1)?.seq;
      if (seq !== undefined) site.outbox.giveUp(seq, "undeliverable");
      return;
    }
    case "rewind":
      site.outbox.rewind();
      run.taken = [];
      run.newest.clear();
      return;
    case "restart":
      await site.reopen();
      run.taken = [];
      run.newest.clear();
      return;
    case "look":
      await site.outbox.look();
      return;
    case "sweep":
      await site.store.retention.sweep();
      return;
    case "race":
      await Promise.all([take(run, 5), site.store.retention.sweep(), site.outbox.look()]);
      return;
    case "delete": {
      const one = things[now.thing]!;
      if (site.store.things.byNumber(one.number) === undefined) return;
      site.deleteThing(one);
      appended.set(site.store.changes.sequence, "thing");
      return;
    }
    case "wait":
      clock.advance(now.ms);
      await nextTurn();
      return;
  }
}

async function play(
  t: Test,
  given: Pick<OutboxTerms, "order" | "bounds">,
  steps: readonly Step[],
): Promise<readonly string[]> {
  const site = await openSite(t, given, FEW);
  const things = Array.from({ length: THINGS }, (_, n) => site.makeThing(`thing-${n}`));
  const appended = new Map<number, ChangeClass>(things.map(({ revision }) => [revision, "thing"]));
  const run: Run = {
    site,
    account: new Account(),
    appended,
    things,
    taken: [],
    newest: new Map(),
    disorder: [],
  };
  for (const now of steps) await act(run, now);
  await site.store.commit.flushed();
  site.outbox.rewind();
  run.newest.clear();
  for (;;) {
    await site.store.commit.flushed();
    const taken = await take(run, 100);
    if (taken.length === 0) break;
    for (const { seq } of taken) site.outbox.acknowledge(seq);
  }
  const faults = [...run.account.faults(appended, site)];
  const sequences = run.account.sequences(site);
  const isInOrder = sequences.every((sequence, n) => n === 0 || sequences[n - 1]! < sequence);
  const isStrict = given.order === "strict" && given.bounds.property.rule !== "latest-only";
  if (isStrict && !isInOrder) faults.push(`out of order: ${sequences.join(" ")}`);
  if (given.bounds.property.rule !== "latest-only") faults.push(...run.disorder);
  await assertEmpty(t, site);
  await site.opened.close();
  return faults;
}

await test("every accepted change has one number: it is handed out, or named by a gap", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      terms,
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (given, steps) => {
        const faults = await play(t, given, steps);
        if (faults.length > 0) throw new Error(faults.join("\n"));
      },
    ),
    { seed: SEED, numRuns: RUNS },
  );
});
