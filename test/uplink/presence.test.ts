import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { UpMessage } from "../../src/uplink/message.ts";
import { makeEpochs, Presence } from "../../src/uplink/presence.ts";
import { ManualClock } from "../store/manual-clock.ts";

// What upstream is told of the gateway and its backlog, and when, in the test's own time.

const { uplinkPresenceMs, uplinkPresenceLookMs } = FIXED_LIMITS;
const TOPIC = "status/site/gateways/g";

type Said = { readonly state: string; readonly sequence: number; readonly depth?: unknown };

function open() {
  const clock = new ManualClock();
  const state = { ackedSeq: 0, depth: { rows: 0, bytes: 0, oldestAgeMs: 0 } };
  const nextEpoch = makeEpochs(4);
  const presence = new Presence({ clock, version: "1.2.3", nextEpoch, outbox: { state } });
  const sent: UpMessage[] = [];
  const owe = (rows: number, ageS: number): void => {
    state.depth = { rows, bytes: rows * 100, oldestAgeMs: ageS * 1_000 };
  };
  const line = (): void => presence.opened(TOPIC, (message) => sent.push(message));
  /** What was said since this was asked last. */
  const said = (): Said[] =>
    sent.splice(0).map(({ payload }) => JSON.parse(payload.toString()) as Said);
  return { clock, state, presence, owe, line, said, sent };
}

await test("what waits is told when the line opens, and once a minute while it changes", (t) => {
  const { clock, state, owe, line, said, sent, presence } = open();
  owe(1_000, 90);
  presence.will(TOPIC);
  line();
  t.match(sent, [{ topic: TOPIC, retain: true }]);
  t.same(said(), [
    {
      ...{ state: "online", epoch: 4_000_000_001, sequence: 0, version: "1.2.3" },
      depth: { rows: 1_000, bytes: 100_000, oldest_age_s: 90 },
      timestamp: "2027-03-01T12:00:00.000Z",
    },
  ]);
  for (let minute = 1; minute <= 3; minute += 1) {
    state.ackedSeq += 100;
    owe(1_000 - minute * 100, 90);
    clock.advance(uplinkPresenceMs - uplinkPresenceLookMs);
    t.same(said(), [], "not before the minute is over");
    clock.advance(uplinkPresenceLookMs);
    const depth = { rows: 1_000 - minute * 100 };
    t.match(said(), [{ state: "online", sequence: minute * 100, depth }]);
  }
  clock.advance(10 * uplinkPresenceMs);
  t.same(said(), [], "nothing is new");
  state.ackedSeq += 1;
  clock.advance(uplinkPresenceLookMs);
  t.equal(said().length, 1, "what is new after that need not wait for a minute");
  t.end();
});

await test("that nothing waits any more is told at once, and that something does is not", (t) => {
  const { clock, owe, line, said } = open();
  owe(5, 1);
  line();
  t.equal(said().length, 1);
  owe(0, 0);
  clock.advance(uplinkPresenceLookMs);
  t.match(said(), [{ depth: { rows: 0 } }]);
  owe(3, 0);
  clock.advance(uplinkPresenceLookMs);
  owe(0, 0);
  clock.advance(uplinkPresenceMs);
  t.same(said(), [], "what came and went between two looks");
  t.end();
});

await test("when the line is gone nothing is said, and each line has a higher epoch", (t) => {
  const { clock, owe, line, said, presence } = open();
  const epochOf = ({ payload }: UpMessage): number =>
    (JSON.parse(payload.toString()) as { epoch: number }).epoch;
  const first = presence.will(TOPIC);
  line();
  presence.closed();
  t.equal(clock.waiting, 0, "nothing is left to wake up for");
  said();
  owe(7, 1);
  clock.advance(2 * uplinkPresenceMs);
  t.same(said(), []);
  const second = presence.will(TOPIC);
  t.ok(epochOf(second) > epochOf(first), "of two lines");
  line();
  t.match(said(), [{ state: "online", epoch: epochOf(second), depth: { rows: 7 } }]);
  t.ok(makeEpochs(5)() > epochOf(second), "of two starts");
  t.match(JSON.parse(presence.goodbye(TOPIC).payload.toString()), {
    ...{ state: "offline", depth: { rows: 7 } },
  });
  t.end();
});
