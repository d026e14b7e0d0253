import fc from "fast-check";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { backoffMs } from "../../src/uplink/backoff.ts";
import { Rate } from "../../src/uplink/rate.ts";
import { hasRoom, windowOf } from "../../src/uplink/window.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { seededRandom } from "../store/random.ts";

const always = (byte: number) => ({
  bytes: (count: number) => new Uint8Array(count).fill(byte),
});

await test("the bound of the back-off doubles up to its ceiling, and the wait is anywhere below", (t) => {
  const retry = { min_s: 1, max_s: 60 };
  const bounds = [1, 2, 3, 4, 5, 6, 7, 8, 1_000_000].map((failed) =>
    backoffMs(retry, failed, always(255)),
  );
  t.same(
    bounds,
    [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000),
  );
  t.equal(backoffMs(retry, 5, always(0)), FIXED_LIMITS.uplinkRetryMsMin);
  t.equal(backoffMs({ min_s: 0.1, max_s: 0.1 }, 9, always(255)), 100);
  t.equal(backoffMs({ min_s: 120, max_s: 120 }, 9, always(255)), FIXED_LIMITS.uplinkRetryMsMax);
  t.end();
});

await test("waits are spread evenly, and never below the floor or above the ceiling", (t) => {
  const random = seededRandom(11);
  const waits = Array.from({ length: 4_000 }, () => backoffMs({ min_s: 1, max_s: 8 }, 4, random));
  t.ok(Math.min(...waits) >= 100 && Math.max(...waits) <= 8_000);
  const below = (ms: number): number => waits.filter((wait) => wait < ms).length / waits.length;
  for (const part of [0.25, 0.5, 0.75]) {
    t.ok(Math.abs(below(100 + part * 7_900) - part) < 0.05, `${part} of them are below ${part}`);
  }
  t.end();
});

await test("the window is the least of what we and the broker want, and never nothing", (t) => {
  t.equal(windowOf(500, 65_535).messages, 500);
  t.equal(windowOf(500, 20).messages, 20);
  t.equal(windowOf(1, 20).messages, 1);
  const window = { messages: 2, bytes: 100 };
  t.equal(hasRoom(window, { count: 0, bytes: 0 }), true);
  t.equal(hasRoom(window, { count: 1, bytes: 99 }), true);
  t.equal(hasRoom(window, { count: 1, bytes: 100 }), false);
  t.equal(hasRoom(window, { count: 2, bytes: 2 }), false);
  t.end();
});

await test("whatever is sent, in no stretch of time more goes than the rate and one burst", (t) => {
  const check = (perS: number, sizes: readonly number[]): void => {
    const clock = new ManualClock();
    const rate = new Rate({ bytes_per_s: perS }, clock);
    const startMs = clock.monotonicMs();
    let before = 0;
    for (const size of sizes) {
      clock.advance(rate.waitMs());
      t.equal(rate.waitMs(), 0);
      // What went before this one has been paid for.
      const allowed = (perS * (clock.monotonicMs() - startMs)) / 1_000 + Math.max(1, perS / 10);
      if (before > allowed) throw new Error(`${before} bytes where ${allowed} may go`);
      rate.take(size);
      before += size;
    }
  };
  const sizes = fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 30 });
  fc.assert(fc.property(fc.integer({ min: 100, max: 100_000 }), sizes, check), { numRuns: 100 });
  t.end();
});

await test("without a rate nothing waits", (t) => {
  const rate = new Rate({}, new ManualClock());
  for (let nth = 0; nth < 1_000; nth += 1) rate.take(1e9);
  t.equal(rate.waitMs(), 0);
  t.end();
});
