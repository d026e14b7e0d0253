import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "tap";
import type { Test } from "tap";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import type { Log } from "../../src/log.ts";
import { openNotifier } from "../../src/systemd/notify.ts";
import { needs } from "./programs.ts";
import { receiveAt } from "./receiver.ts";

const PID = process.pid;

function logInto(events: string[]): Log {
  const note = (event: string): void => void events.push(event);
  return { error: note, warn: note, info: note, debug: note };
}

const quiet = logInto([]);

/** A clock that stands still until it is told to go on; timers fire in the order of their time. */
function manualClock(): Pick<Clock, "after" | "monotonicMs"> & {
  readonly advance: (ms: number) => Promise<void>;
} {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  return {
    monotonicMs: () => now,
    after: (delayMs, callback) => {
      const timer = { at: now + delayMs, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    advance: async (ms) => {
      const end = now + ms;
      for (;;) {
        const [due] = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers.delete(due);
        now = due.at;
        due.callback();
        await settled();
      }
      now = end;
    },
  };
}

/** Lets promise reactions that are already due run. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function notifierWith(env: NodeJS.ProcessEnv, events: string[] = []) {
  const clock = manualClock();
  const sent: (readonly string[])[] = [];
  const notifier = openNotifier({
    env: { NOTIFY_SOCKET: "/run/systemd/notify", ...env },
    pid: PID,
    clock,
    log: logInto(events),
    send: async (assignments) => Promise.resolve(void sent.push(assignments)),
  });
  return { clock, sent, notifier };
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const healthy = { isHealthy: async () => Promise.resolve(true), statusLine: () => "serving" };
const PING = "WATCHDOG=1";

await test("without NOTIFY_SOCKET nothing is sent", async (t) => {
  const sent: unknown[] = [];
  for (const env of [{}, { NOTIFY_SOCKET: "" }]) {
    const clock = manualClock();
    const send = async (message: unknown): Promise<void> =>
      Promise.resolve(void sent.push(message));
    const notifier = openNotifier({ env, pid: PID, clock, log: quiet, send });
    await notifier.starting();
    await notifier.ready(healthy);
    await clock.advance(1e6);
    await notifier.stopping();
  }
  t.same(sent, []);
});

await test("a long start asks for more time, until it is ready or half an hour has passed", async (t) => {
  const { clock, sent, notifier } = notifierWith({});
  await notifier.starting();
  t.same(sent, [["EXTEND_TIMEOUT_USEC=60000000", "STATUS=starting"]]);
  await clock.advance(60_000);
  t.same(sent.slice(1), Array(3).fill(["EXTEND_TIMEOUT_USEC=60000000"]));
  await clock.advance(3_600_000);
  t.equal(sent.length, 1 + 89, "a start that hangs is not kept alive for ever");

  const other = notifierWith({});
  await other.notifier.starting();
  await other.notifier.ready(healthy);
  await other.clock.advance(25_000);
  t.same(other.sent.slice(1), [["READY=1", "STATUS=serving"]]);
});

await test("the watchdog is fed at half of its time while the gateway is healthy", async (t) => {
  const { clock, sent, notifier } = notifierWith({ WATCHDOG_USEC: "30000000" });
  await notifier.ready(healthy);
  await clock.advance(14_999);
  t.equal(sent.length, 1);
  await clock.advance(1);
  t.same(sent.slice(1), [[PING]]);
  await clock.advance(60_000);
  t.equal(sent.filter((message) => message.includes(PING)).length, 5);
});

await test("a gateway that is not healthy, fails to say so or is too slow is not fed", async (t) => {
  const sick: Readonly<Record<string, () => Promise<boolean>>> = {
    "says no": async () => Promise.resolve(false),
    fails: async () => Promise.reject(new Error("store is closed")),
    "never answers": async () => new Promise(() => undefined),
  };
  for (const [name, isHealthy] of Object.entries(sick)) {
    const events: string[] = [];
    const { clock, sent, notifier } = notifierWith({ WATCHDOG_USEC: "30000000" }, events);
    let check = healthy.isHealthy;
    await notifier.ready({ statusLine: healthy.statusLine, isHealthy: async () => check() });
    check = isHealthy;
    await clock.advance(60_000);
    t.notOk(sent.flat().includes(PING), name);
    t.ok(sent.flat().includes("STATUS=not healthy: the watchdog is not fed"), name);
    t.ok(events.includes("systemd.watchdog_withheld"), name);
    check = healthy.isHealthy;
    await clock.advance(30_000);
    t.ok(sent.flat().includes(PING), `${name}, then recovers`);
  }
});

await test("a watchdog of another process is not fed", async (t) => {
  for (const env of [
    { WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(PID + 1) },
    { WATCHDOG_USEC: "nonsense" },
    { WATCHDOG_USEC: "0" },
  ]) {
    const { clock, sent, notifier } = notifierWith(env);
    await notifier.ready(healthy);
    await clock.advance(120_000);
    t.notOk(sent.flat().includes(PING), JSON.stringify(env));
  }
});

await test("the status is sent when it has changed, on one line", async (t) => {
  const { clock, sent, notifier } = notifierWith({});
  let line = "0 clients";
  await notifier.ready({ isHealthy: healthy.isHealthy, statusLine: () => line });
  await clock.advance(60_000);
  t.equal(sent.length, 1, "unchanged");
  line = "1 client\nREADY=0";
  await clock.advance(60_000);
  t.same(sent.slice(1), [["STATUS=1 client READY=0"]]);
});

await test("after STOPPING=1 nothing more is sent", async (t) => {
  const { clock, sent, notifier } = notifierWith({ WATCHDOG_USEC: "30000000" });
  let answer: (isHealthy: boolean) => void = () => undefined;
  const isHealthy = async (): Promise<boolean> => new Promise((resolve) => (answer = resolve));
  await notifier.ready({ isHealthy, statusLine: () => "serving" });
  await clock.advance(15_000);
  await notifier.stopping();
  answer(true);
  await clock.advance(120_000);
  t.same(sent.slice(1), [["STOPPING=1", "STATUS=stopping"]]);
});

await test("why the gateway ends is told in one line", async (t) => {
  const { sent, notifier } = notifierWith({});
  await notifier.stopping("the disk is full;\nfree space");
  t.same(sent, [["STOPPING=1", "STATUS=the disk is full; free space"]]);
});

await test("a message that cannot be sent is logged once the gateway runs", async (t) => {
  const events: string[] = [];
  const notifier = openNotifier({
    env: { NOTIFY_SOCKET: "/nowhere" },
    pid: PID,
    clock: manualClock(),
    log: logInto(events),
    send: async () => Promise.reject(new Error("gone")),
  });
  await t.rejects(notifier.starting(), { message: "gone" });
  await notifier.ready(healthy);
  await notifier.stopping();
  t.same(events, ["systemd.notify_failed", "systemd.notify_failed"]);
});

await test("without systemd-notify the start ends with 78 and says what is missing", async (t) => {
  const env = { NOTIFY_SOCKET: "/run/systemd/notify", PATH: "/nonexistent" };
  const notifier = openNotifier({ env, pid: PID, clock: manualClock(), log: quiet });
  const error = await failureOf(notifier.starting());
  t.match(error, { exitCode: 78, message: /no systemd-notify in PATH/ });
});

const real = needs("systemd-notify", "python3");

await test(
  "a socket nobody listens on ends the start with 75",
  needs("systemd-notify"),
  async (t) => {
    const env = { NOTIFY_SOCKET: "/nonexistent/notify", PATH: process.env["PATH"] };
    const notifier = openNotifier({ env, pid: PID, clock: manualClock(), log: quiet });
    t.match(await failureOf(notifier.starting()), { exitCode: 75 });
  },
);

async function tellsAll(t: Test, name: string): Promise<void> {
  const receiver = await receiveAt(t, name);
  const env = {
    NOTIFY_SOCKET: name,
    PATH: process.env["PATH"],
    WATCHDOG_USEC: "200000",
    WATCHDOG_PID: String(PID),
  };
  // The notifier's own timers do not keep a process alive; the receiver's pipe does.
  const notifier = openNotifier({ env, pid: PID, clock: systemClock(), log: quiet });
  await notifier.starting();
  t.same(await receiver.next(), ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=starting"]);
  let line = "ready — 0 clients";
  await notifier.ready({ isHealthy: healthy.isHealthy, statusLine: () => line });
  t.same(await receiver.next(), ["READY=1", "STATUS=ready — 0 clients"]);
  await receiver.until(PING);
  await receiver.until(PING);
  line = "serving";
  t.same(await receiver.until("STATUS=serving"), [PING, "STATUS=serving"]);
  const stopping = notifier.stopping();
  t.same(await receiver.until("STOPPING=1"), ["STOPPING=1", "STATUS=stopping"]);
  await stopping;
}

await test(
  "systemd hears of start, readiness, life and stop on a socket in the file system",
  real,
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-notify-"));
    t.teardown(() => rmSync(directory, { recursive: true }));
    await tellsAll(t, join(directory, "notify"));
  },
);

await test("systemd hears of the same on an abstract socket", real, async (t) => {
  await tellsAll(t, `@sluice-test-${String(PID)}`);
});
