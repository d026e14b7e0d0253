import fc from "fast-check";
import { test } from "tap";
import { Drain, type DrainDeps } from "../../src/uplink/drain.ts";
import { LineFailure, MessageFailure } from "../../src/uplink/line-failure.ts";
import { packetIdOf } from "../../src/uplink/line-flight.ts";
import { Rate } from "../../src/uplink/rate.ts";
import { SentBefore } from "../../src/uplink/sent-before.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { LineModel, OwedModel, settle, upMessage } from "./owed-model.ts";

type Site = {
  readonly clock: ManualClock;
  readonly outbox: OwedModel;
  readonly line: LineModel;
  readonly drain: Drain;
  readonly log: string[];
};

function open(given: Partial<Omit<DrainDeps, "outbox">> & { outbox?: OwedModel } = {}): Site {
  const clock = new ManualClock();
  const outbox = given.outbox ?? new OwedModel();
  const line = new LineModel();
  const log: string[] = [];
  const drain = new Drain({
    line,
    streams: ["strict"],
    window: () => ({ messages: 3, bytes: 1_000 }),
    rate: new Rate({}, clock),
    clock,
    toMessages: ({ seq }) => ({ kind: "messages", messages: [upMessage(String(seq))] }),
    sentBefore: new SentBefore(0),
    onSent: ({ seq }) => log.push(`sent ${seq}`),
    onAcknowledged: ({ seq }) => log.push(`acknowledged ${seq}`),
    onRefused: (failure) => log.push(`refused: ${failure.message}`),
    ...given,
    outbox,
  });
  return { clock, outbox, line, drain, log };
}

await test("no more is under way than the window, and the next goes at each acknowledgement", async (t) => {
  const { outbox, line, drain, log } = open();
  outbox.add("strict", 1, 2, 3, 4, 5);
  drain.start();
  await settle();
  t.same(line.texts, ["1", "2", "3"]);
  line.sent[0]?.settle();
  t.same(line.texts, ["1", "2", "3", "4"]);
  for (const { settle: acknowledge } of [...line.sent]) acknowledge();
  for (const { settle: acknowledge } of [...line.sent]) acknowledge();
  t.same(outbox.acknowledged, [1, 2, 3, 4, 5]);
  t.same(log.slice(0, 4), ["sent 1", "sent 2", "sent 3", "acknowledged 1"]);
});

await test("bytes under way are bounded, too, but one message always goes", async (t) => {
  const large = { ...upMessage("x"), payload: Buffer.alloc(900) };
  const { outbox, line, drain } = open({
    toMessages: () => ({ kind: "messages", messages: [large] }),
    window: () => ({ messages: 10, bytes: 800 }),
  });
  outbox.add("strict", 1, 2);
  drain.start();
  await settle();
  t.equal(line.sent.length, 1);
  line.sent[0]?.settle();
  t.equal(line.sent.length, 2);
});

await test("what comes later is sent when it is there", async (t) => {
  const { outbox, line, drain } = open();
  drain.start();
  await settle();
  const asked = outbox.taken.length;
  await settle();
  t.equal(outbox.taken.length, asked, "a dry outbox is not asked again");
  outbox.add("strict", 1);
  await settle();
  t.same(line.texts, ["1"]);
});

await test("the outbox is told in order, whatever the order of the acknowledgements", async (t) => {
  const { outbox, line, drain } = open();
  outbox.add("strict", 1, 2, 3);
  drain.start();
  await settle();
  line.sent[2]?.settle();
  line.sent[1]?.settle();
  t.same(outbox.acknowledged, []);
  line.end();
  t.same(outbox.acknowledged, [], "the next line begins with 1 again");
  const { outbox: other, line: second, drain: next } = open();
  other.add("strict", 1, 2, 3);
  next.start();
  await settle();
  second.sent[1]?.settle();
  second.sent[0]?.settle();
  t.same(other.acknowledged, [1, 2]);
});

await test("what is owed as several messages is acknowledged with the last of them", async (t) => {
  const { outbox, line, drain } = open({
    toMessages: ({ seq }) => ({
      kind: "messages",
      messages: ["a", "b", "c", "d"].map((letter) => upMessage(`${seq}${letter}`)),
    }),
  });
  outbox.add("strict", 1, 2);
  drain.start();
  await settle();
  t.same(line.texts, ["1a", "1b", "1c"], "more than the window holds goes in parts");
  for (let nth = 0; nth < 3; nth += 1) line.sent[nth]?.settle();
  t.same(outbox.acknowledged, []);
  t.same(line.texts.slice(3), ["1d", "2a", "2b"]);
  line.sent[3]?.settle();
  t.same(outbox.acknowledged, [1]);
});

await test("what needs no message is acknowledged in its turn, what cannot be said is given up", async (t) => {
  const { outbox, line, drain } = open({
    toMessages: ({ seq }) => {
      if (seq === 2) return { kind: "silent" };
      if (seq === 3) return { kind: "undeliverable" };
      return { kind: "messages", messages: [upMessage(String(seq))] };
    },
  });
  outbox.add("strict", 1, 2, 3, 4);
  drain.start();
  await settle();
  t.same(line.texts, ["1", "4"]);
  t.same(outbox.givenUp, [[3, "undeliverable"]]);
  t.same(outbox.acknowledged, []);
  line.sent[0]?.settle();
  t.same(outbox.acknowledged, [1, 2], "in the place of 3 a gap is owed");
});

await test("a message that upstream will never take is given up, and the others go on", async (t) => {
  const { outbox, line, drain, log } = open();
  outbox.add("strict", 1, 2, 3);
  drain.start();
  await settle();
  line.sent[0]?.settle(new MessageFailure("too large"));
  line.sent[1]?.settle(new MessageFailure("topic name invalid", 0x90));
  line.sent[2]?.settle(new MessageFailure("too large after all", 0x95));
  t.same(outbox.givenUp, [
    [1, "too-large"],
    [2, "undeliverable"],
    [3, "too-large"],
  ]);
  t.same(outbox.acknowledged, []);
  t.same(log.slice(3), ["acknowledged 1", "acknowledged 2", "acknowledged 3"]);
});

await test("a message that upstream refuses for now ends the line, and nothing is lost", async (t) => {
  const { outbox, line, drain, log } = open();
  outbox.add("strict", 1, 2, 3, 4);
  drain.start();
  await settle();
  line.sent[0]?.settle();
  line.sent[1]?.settle(new MessageFailure("the broker refused: not authorized", 0x87));
  line.sent[2]?.settle();
  line.sent[3]?.settle();
  t.same(outbox.acknowledged, [1]);
  t.same(outbox.givenUp, []);
  t.equal(log.at(-1), "refused: the broker refused: not authorized, to publish to t/2");
});

await test("the rate is kept, in messages and in bytes", async (t) => {
  const clock = new ManualClock();
  const rate = new Rate({ messages_per_s: 10 }, clock);
  const { outbox, line, drain } = open({
    clock,
    rate,
    window: () => ({ messages: 1_000, bytes: 1e9 }),
  });
  outbox.add("strict", ...Array.from({ length: 100 }, (_, nth) => nth + 1));
  drain.start();
  await settle();
  t.equal(line.sent.length, 1);
  for (let nth = 0; nth < 50; nth += 1) {
    clock.advance(100);
    await settle();
  }
  t.equal(line.sent.length, 51);
});

await test("a wide window is filled over many turns, and others have theirs between them", async (t) => {
  const { outbox, line, drain } = open({ window: () => ({ messages: 400, bytes: 1e9 }) });
  outbox.add("strict", ...Array.from({ length: 600 }, (_, nth) => nth + 1));
  drain.start();
  const inTurns = async (sent: number): Promise<void> => {
    let most = 0;
    for (let turn = 0; turn < 100 && line.sent.length < sent; turn += 1) {
      const before = line.sent.length;
      await settle();
      most = Math.max(most, line.sent.length - before);
    }
    t.equal(line.sent.length, sent);
    t.ok(most <= 50, `${most} in one turn`);
  };
  await inTurns(400);
  const before = line.sent.length;
  // As when the acknowledgements of all of them come in one packet.
  for (const { settle: acknowledge } of line.sent.slice(0, 400)) acknowledge();
  t.ok(line.sent.length - before <= 50, "in the turn of the acknowledgements");
  await inTurns(600);
  t.same(
    line.texts,
    Array.from({ length: 600 }, (_, nth) => String(nth + 1)),
    "in order",
  );
});

await test("live-first: what is new goes first, the backlog has half of the window", async (t) => {
  const { outbox, line, drain } = open({
    streams: ["live", "backlog"],
    window: () => ({ messages: 4, bytes: 1_000 }),
  });
  outbox.add("backlog", 1, 2, 3, 4, 5);
  drain.start();
  await settle();
  t.same(line.texts, ["1", "2"]);
  outbox.add("live", 10, 11, 12);
  await settle();
  t.same(line.texts, ["1", "2", "10", "11"]);
  line.sent[0]?.settle();
  t.same(line.texts.slice(4), ["12"], "a free place goes to what is new");
  t.same(outbox.acknowledged, [1]);
});

await test("what is sent again on the next line has its packet id, and DUP", async (t) => {
  const sentBefore = new SentBefore(0);
  const first = open({ sentBefore });
  first.outbox.add("strict", 7, 8);
  first.drain.start();
  await settle();
  t.same(
    first.line.sent.map(({ options }) => options),
    [
      { packetId: packetIdOf(7), dup: false },
      { packetId: packetIdOf(8), dup: false },
    ],
  );
  first.line.sent[0]?.settle();
  first.line.end();
  const second = open({ sentBefore });
  second.outbox.add("strict", 8, 9);
  second.drain.start();
  await settle();
  t.same(
    second.line.sent.map(({ options }) => options),
    [
      { packetId: packetIdOf(8), dup: true },
      { packetId: packetIdOf(9), dup: false },
    ],
  );
  sentBefore.sessionLost();
  const third = open({ sentBefore });
  third.outbox.add("strict", 8);
  third.drain.start();
  await settle();
  t.same(third.line.sent[0]?.options, { packetId: packetIdOf(8), dup: false });
});

await test("after a restart what may have been sent has DUP", async (t) => {
  const { outbox, line, drain } = open({ sentBefore: new SentBefore(2) });
  outbox.add("strict", 2, 3);
  drain.start();
  await settle();
  t.same(
    line.sent.map(({ options }) => options.dup),
    [true, false],
  );
});

await test("a store that cannot be read is asked again", async (t) => {
  const { clock, outbox, line, drain } = open();
  outbox.failsNext = true;
  outbox.add("strict", 1);
  drain.start();
  await settle();
  t.same(line.sent, []);
  clock.advance(1_000);
  await settle();
  t.same(line.texts, ["1"]);
});

await test("asides go before what is owed, in the window; too many are lost", async (t) => {
  const { outbox, line, drain } = open();
  outbox.add("strict", 1, 2, 3, 4);
  drain.start();
  await settle();
  const told: unknown[] = [];
  t.equal(
    drain.tell(upMessage("aside"), (failure) => told.push(failure)),
    true,
  );
  t.same(line.texts, ["1", "2", "3"]);
  line.sent[0]?.settle();
  t.equal(line.texts[3], "aside");
  line.sent[3]?.settle();
  t.same(told, [undefined]);
  t.equal(line.texts[4], "4");
  const taken = Array.from({ length: 200 }, () => drain.tell(upMessage("more")));
  t.ok(taken.includes(false));
  drain.halt();
  t.equal(drain.tell(upMessage("late")), false);
});

await test("over any lines that end anywhere, all of it arrives in order, and none is invented", async (t) => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("ack" as const), nth: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), nth: fc.nat(9) }) },
  );
  const run = async (count: number, steps: { kind: "ack" | "cut"; nth: number }[]) => {
    const all = Array.from({ length: count }, (_, nth) => nth + 1);
    const sentBefore = new SentBefore(0);
    const arrived: number[][] = [];
    let acknowledged = 0;
    let site: Site;
    const connect = async (): Promise<void> => {
      const outbox = new OwedModel();
      site = open({ outbox, sentBefore });
      outbox.add("strict", ...all.slice(acknowledged));
      site.drain.start();
      arrived.push([]);
      await settle();
    };
    const end = (): void => {
      arrived.at(-1)?.push(...site.line.texts.map(Number));
      const told = site.outbox.acknowledged;
      const first = acknowledged + 1;
      if (told.some((seq, nth) => seq !== first + nth))
        throw new Error(`out of order: ${told.join()}`);
      acknowledged += told.length;
      site.drain.halt();
      site.line.end();
    };
    await connect();
    for (const { kind, nth } of steps) {
      if (kind === "ack") site!.line.sent[nth % Math.max(1, site!.line.sent.length)]?.settle();
      else {
        end();
        await connect();
      }
    }
    await settle();
    while (site!.line.inFlight.count > 0) {
      for (const { settle: acknowledge } of [...site!.line.sent]) acknowledge();
      // What is taken meanwhile is sent in a later turn.
      await settle();
    }
    end();
    if (acknowledged !== count) throw new Error(`${acknowledged} of ${count}`);
    for (const line of arrived) {
      // On one line: without a hole and in order, from where the one before was acknowledged.
      const [first = 1] = line;
      if (line.some((seq, nth) => seq !== first + nth))
        throw new Error(`a line sent ${line.join()}`);
    }
    if (new Set(arrived.flat()).size !== count) throw new Error("something never arrived");
  };
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 30 }), fc.array(step, { maxLength: 60 }), run),
    { numRuns: 200 },
  );
  t.end();
});

await test("a LineFailure of one message is left to the end of the line", async (t) => {
  const { outbox, line, drain, log } = open();
  outbox.add("strict", 1);
  drain.start();
  await settle();
  line.sent[0]?.settle(new LineFailure("stalled", "x"));
  t.same(outbox.acknowledged, []);
  t.same(log, ["sent 1"]);
});
