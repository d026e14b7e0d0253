import { systemClock, systemRandom } from "../../src/clock.ts";
import { termsOf } from "../../src/interactions/kept-uplinks.ts";
import { openStore } from "../../src/store/store.ts";

// Takes the head of an outbox, one item after the other, as a line with a window of one would: STORE
// UPLINK COUNT. Says how long the slowest hundredth of the takes took.

const [path = "", uplink = "", count = "0"] = process.argv.slice(2);
const endless = { rows: Number.MAX_SAFE_INTEGER, days: 0 };
const store = await openStore({
  path,
  window: { gatherMs: 0, syncIntervalMs: 0 },
  quotaBytes: 0,
  history: { property: endless, action: endless, event: endless, data: endless },
  clock: systemClock("always"),
  random: systemRandom,
  log: { error: console.error, warn: console.error, info: silent, debug: silent },
  uplinkTerms: (one) => termsOf(new Map(), one),
  onFailure: (failure) => {
    throw failure;
  },
});
const outbox = store.outboxes.get(uplink);
if (outbox === undefined) throw new Error(`there is no uplink ${uplink}`);
const depth = outbox.state.depth.rows;
const tookMs: number[] = [];
outbox.rewind();
while (tookMs.length < Number(count)) {
  const begunMs = performance.now();
  const [head] = await outbox.take("strict", 1);
  tookMs.push(performance.now() - begunMs);
  if (head === undefined) throw new Error("nothing was owed");
  outbox.acknowledge(head.seq);
}
await store.close();
tookMs.sort((a, b) => a - b);
console.log(`depth ${depth} p99 ${tookMs[Math.floor(tookMs.length * 0.99)] ?? NaN}`);

function silent(): void {
  // The bench has nothing to say of the store's life cycle.
}
