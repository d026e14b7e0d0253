import { test } from "tap";
import { ActionDeadlines } from "../../src/interactions/action-deadlines.ts";
import { reportAction, requestAction } from "../../src/interactions/action-invocation.ts";
import type { ActionRequest } from "../../src/store/action-requests.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const on = { principal: ADMIN, account: ACCOUNT, thing: "boiler", name: "stop" };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

type Started = {
  readonly harness: setup.Harness;
  deadlines: ActionDeadlines;
  known: number;
  readonly request: (body?: JsonObject) => ActionRequest;
  readonly statusOf: (request: ActionRequest) => string | undefined;
  readonly deliverability: (request: ActionRequest) => string;
  /** The machine starts again. */
  readonly reboot: (at: { readonly wall: number; readonly synced: boolean }) => Promise<void>;
};

async function start(t: Parameters<typeof setup.startHarness>[0]): Promise<Started> {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const watch = (): ActionDeadlines => {
    const deadlines = new ActionDeadlines(harness.deps, () => (started.known += 1));
    deadlines.start();
    return deadlines;
  };
  const started: Started = {
    harness,
    get deadlines(): ActionDeadlines {
      return deadlines;
    },
    known: 0,
    request: (body = {}) => requestAction(harness.deps, { ...on, body }).request,
    statusOf: ({ moment }) => harness.deps.store.requests.get(1, "stop", moment)?.status,
    deliverability: ({ moment }) => deadlines.deliverability(1, "stop", moment),
    reboot: async (at) => {
      deadlines.stop();
      await harness.deps.store.commit.flushed();
      harness.clock.reboot(at);
      await harness.restart();
      deadlines = watch();
    },
  };
  let deadlines = watch();
  t.teardown(() => deadlines.stop());
  return started;
}

await test("a request that names no timeout lives for 24 hours, one that does no longer than it says", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  const rows: readonly (readonly [body: JsonObject, lifeMs: number])[] = [
    [{}, DAY],
    [{ timeout: 1.5 }, 1_500],
    [{ timeout: 3_600 }, HOUR],
    [{ timeout: 1e9 }, DAY],
  ];
  const made = rows.map(([body, lifeMs]) => ({ request: started.request(body), lifeMs }));
  const begin = clock.monotonic;
  for (const lifeMs of [1_500, HOUR, DAY]) {
    clock.advance(begin + lifeMs - 1 - clock.monotonic);
    for (const { request, lifeMs: life } of made) {
      t.equal(started.deliverability(request), life < lifeMs ? "never" : "deliver");
    }
    clock.advance(1);
    for (const { request, lifeMs: life } of made) {
      t.equal(started.deliverability(request), life <= lifeMs ? "never" : "deliver");
    }
    clock.advance(500);
    for (const { request, lifeMs: life } of made) {
      t.equal(started.statusOf(request), life <= lifeMs ? "expired" : "pending");
    }
  }
});

await test("an expiry is told once, with its time, and a late report is refused", async (t) => {
  const started = await start(t);
  const { clock, deps } = started.harness;
  const request = started.request({ timeout: 1 });
  started.harness.published.length = 0;
  clock.advance(5_000);
  const published = setup.takePublished(started.harness);
  t.equal(published.length, 1);
  t.match(published[0]?.[1], { stop: { status: "expired", timeCompleted: String } });
  const id = deps.store.ids.ofMoment(request.moment);
  const body = { status: "completed" };
  const refusal = setup.refusalOf(() => reportAction(deps, { ...on, id, body }));
  t.equal(refusal.code, "action-finished");
});

await test("a request that the device took up does not expire, and is not delivered again", async (t) => {
  const started = await start(t);
  const request = started.request({ timeout: 1 });
  const id = started.harness.deps.store.ids.ofMoment(request.moment);
  reportAction(started.harness.deps, { ...on, id, body: { status: "running" } });
  t.equal(started.deliverability(request), "never");
  started.harness.clock.advance(2 * DAY);
  t.equal(started.statusOf(request), "running");
});

await test("within one boot a step of the wall clock expires nothing and prolongs nothing", async (t) => {
  for (const step of [10 * YEAR, -10 * YEAR]) {
    const started = await start(t);
    const { clock } = started.harness;
    const request = started.request({ timeout: 3_600 });
    clock.wall += step;
    clock.advance(HOUR - 1_000);
    t.equal(started.deliverability(request), "deliver");
    clock.advance(1_500);
    t.equal(started.statusOf(request), "expired");
  }
});

await test("after a restart within one boot the time goes on, known or not", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  clock.synced = false;
  const request = started.request({ timeout: 3_600 });
  clock.advance(HOUR / 2);
  started.deadlines.stop();
  await started.harness.restart();
  const deadlines = new ActionDeadlines(started.harness.deps, () => undefined);
  t.equal(deadlines.deliverability(1, "stop", request.moment), "deliver");
  clock.advance(HOUR / 2);
  t.equal(deadlines.deliverability(1, "stop", request.moment), "never");
});

await test("after a reboot a request waits for the clock, then is delivered if it is still in time", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  const request = started.request({ timeout: 3_600 });
  const { wall } = clock;
  await started.reboot({ wall: wall - 2 * YEAR, synced: false });
  t.equal(started.deliverability(request), "wait");
  clock.advance(60_000);
  t.equal(started.statusOf(request), "pending");
  t.equal(started.known, 0);
  clock.wall = wall + HOUR / 2;
  clock.synced = true;
  clock.advance(500);
  t.equal(started.known, 1, "what waited is told to go on, once");
  t.equal(started.deliverability(request), "deliver");
  clock.advance(HOUR / 2);
  t.equal(started.statusOf(request), "expired");
  t.equal(started.known, 1);
});

await test("after a reboot a request that is late when the clock is known expires undelivered", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  const request = started.request({ timeout: 3_600 });
  const { wall } = clock;
  await started.reboot({ wall: wall - 2 * YEAR, synced: false });
  t.equal(started.deliverability(request), "wait");
  clock.wall = wall + 2 * HOUR;
  clock.synced = true;
  t.equal(started.deliverability(request), "never", "even before anybody looked");
  clock.advance(500);
  t.equal(started.statusOf(request), "expired");
});

await test("a clock that is never known lets a request wait for its time to live and no longer", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  const request = started.request({ timeout: 3_600 });
  await started.reboot({ wall: 0, synced: false });
  clock.advance(HOUR - 1_000);
  t.equal(started.deliverability(request), "wait");
  clock.advance(1_500);
  t.equal(started.statusOf(request), "expired");
});

await test("a request of a time that was not known is not delivered after a reboot", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  clock.synced = false;
  clock.wall = 0;
  const request = started.request({ timeout: 3_600 });
  t.equal(started.deliverability(request), "deliver", "in its own boot its age is known");
  await started.reboot({ wall: 30_000, synced: true });
  t.equal(started.deliverability(request), "wait");
  clock.advance(HOUR + 500);
  t.equal(started.statusOf(request), "expired");
});

await test("a clock set back after a reboot prolongs no request", async (t) => {
  const started = await start(t);
  const { clock } = started.harness;
  const request = started.request({ timeout: 3_600 });
  await started.reboot({ wall: clock.wall - 5 * YEAR, synced: true });
  clock.advance(HOUR + 500);
  t.equal(started.statusOf(request), "expired");
});

await test("what is unknown or was deleted is never delivered", async (t) => {
  const started = await start(t);
  const { deadlines, harness } = started;
  const request = started.request();
  t.equal(deadlines.deliverability(1, "heat", request.moment), "never");
  t.equal(deadlines.deliverability(2, "stop", request.moment), "never");
  harness.deps.store.requests.delete(request);
  t.equal(deadlines.deliverability(1, "stop", request.moment), "never");
  deadlines.stop();
  t.equal(harness.clock.waiting, 0, "no timer is left");
});
