import { test, type Test } from "tap";
import { Client, connackCode } from "../wire/client.ts";
import { Site } from "../wire/site.ts";
import { clockStateOf, issueToken, Life, timeOf, type Subject } from "./life.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEARS_10 = 3_653 * DAY;

/** A gateway in this process: its time passes when the test says so. */
async function startSubject(
  t: Test,
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly site: Site; readonly subject: Subject }> {
  const site = await Site.start(t, env);
  const subject: Subject = {
    get mqttPort() {
      return site.mqttPort;
    },
    get url() {
      return site.url;
    },
    call: async (...args) => site.call(...args),
    did: async (...args) => site.did(...args),
    makeCredential: async (...args) => site.makeCredential(...args),
    pass: async (ms) => {
      site.clock.advance(ms);
      await site.did("GET", "/gateway");
    },
  };
  return { site, subject };
}

const RESTART_MS = 50;

type Restart = "none" | "stop" | "crash" | "reboot" | "power cut";

/** The clock is set, and the gateway starts again, or not. */
async function setClock(site: Site, wall: number, restart: Restart): Promise<void> {
  if (restart === "none") {
    site.clock.wall = wall;
    return;
  }
  // No restart takes less than a ms, in which random ids would have no order.
  wall += RESTART_MS;
  site.clock.advance(RESTART_MS);
  if (restart === "crash" || restart === "power cut") {
    if (restart === "crash") site.clock.wall = wall;
    else site.clock.reboot({ wall, synced: true });
    await site.crash();
    return;
  }
  await site.stop();
  if (restart === "stop") site.clock.wall = wall;
  else site.clock.reboot({ wall, synced: true });
  await site.begin();
}

for (const restart of ["none", "stop", "crash", "reboot", "power cut"] as const) {
  for (const step of [YEARS_10, -YEARS_10]) {
    const direction = step > 0 ? "forward" : "back";
    const where = restart === "none" ? "while it runs" : `and a ${restart}`;
    await test(`ten years ${direction} ${where} change no order, end nothing, revive nothing`, async (t) => {
      const { site, subject } = await startSubject(t);
      const life = await Life.begin(t, subject);
      // Behind what an idle gateway notes every minute.
      site.clock.advance(20 * MINUTE + 30 * SECOND);
      await life.use();
      await setClock(site, site.clock.wall + step, restart);
      t.equal(await clockStateOf(subject), step > 0 ? "ahead" : "behind");
      await life.use();
      await life.check("wrong");
      await setClock(site, site.clock.wall - step, restart);
      t.equal(await clockStateOf(subject), "known");
      await life.use();
      await life.check("right again");
      await life.checkSession("right again");
    });
  }
}

await test("what was given an hour ends after an hour, on time, whatever the clock does", async (t) => {
  for (const step of [YEARS_10, -YEARS_10]) {
    const { site, subject } = await startSubject(t);
    const begin = await timeOf(subject);
    const expiresAt = new Date(begin + HOUR / 2).toISOString();
    const { token } = (
      await subject.did("POST", "/gateway/tokens", {
        scopes: ["gateway.read"],
        expires_at: expiresAt,
      })
    ).json as { token: string };
    const statusOf = async (): Promise<number> =>
      (await subject.call("GET", "/gateway", { token })).status;
    await subject.pass(12 * MINUTE);
    site.clock.wall += step;
    await subject.pass(17 * MINUTE);
    t.equal(await statusOf(), 200);
    await subject.pass(2 * MINUTE);
    t.equal(await statusOf(), 401);
    await setClock(site, begin, "reboot");
    t.equal(await statusOf(), 401, "and a clock of an hour ago does not bring it back");
  }
});

await test("no will is published, and no connection ends, because the clock leaps", async (t) => {
  const { site, subject } = await startSubject(t);
  await site.makeThing("boiler", { properties: { mode: { type: "string" } } });
  const login = await site.makeDevice("boiler");
  const watching = await Client.connect(t, subject, login);
  await watching.subscribe("status/A/things/boiler/#");
  const payload = Buffer.from('{"mode":"dead"}');
  const topic = "set/A/things/boiler/properties/mode";
  const device = await Client.connect(t, subject, login, {
    clientId: "device",
    will: { topic, payload, qos: 1, retain: false },
  });
  site.clock.advance(20 * MINUTE);
  for (const step of [YEARS_10, -2 * YEARS_10, YEARS_10]) {
    site.clock.wall += step;
    await subject.pass(2 * MINUTE);
    t.same(await watching.take(), []);
    await device.fence();
  }
  await device.cut();
  t.match(await watching.next(1), [{ text: '{"mode":"dead"}' }]);
});

await test("after a crash wills wait their minute, whatever the clock does", async (t) => {
  for (const step of [YEARS_10, -YEARS_10]) {
    const { site, subject } = await startSubject(t);
    await site.makeThing("boiler", { properties: { mode: { type: "string" } } });
    const login = await site.makeDevice("boiler");
    const payload = Buffer.from('{"mode":"dead"}');
    const topic = "set/A/things/boiler/properties/mode";
    const will = { topic, payload, qos: 1, retain: false } as const;
    await Client.connect(t, subject, login, { clientId: "device", will });
    await site.crash();
    site.clock.wall += step;
    const watching = await Client.connect(t, subject, login);
    await watching.subscribe("status/A/things/boiler/#");
    await subject.pass(50 * SECOND);
    t.same(await watching.take(), []);
    await subject.pass(11 * SECOND);
    t.match(await watching.next(1), [{ text: '{"mode":"dead"}' }]);
  }
});

await test("nothing is swept and no session ends because the clock leaps", async (t) => {
  for (const step of [YEARS_10, -YEARS_10]) {
    for (const restart of ["none", "reboot"] as const) {
      const { site, subject } = await startSubject(t, {
        SLUICE_HISTORY__PROPERTY_DAYS: "1",
        SLUICE_HISTORY__EVENT_DAYS: "1",
        SLUICE_HISTORY__DATA_DAYS: "1",
        SLUICE_HISTORY__ACTION_DAYS: "1",
        SLUICE_LIMITS__SESSION_EXPIRY_S: "3600",
      });
      const life = await Life.begin(t, subject);
      site.clock.advance(20 * MINUTE);
      await setClock(site, site.clock.wall + step, restart);
      // Sweeps and looks for sessions are due several times.
      for (let minute = 0; minute < 5; minute += 1) await subject.pass(MINUTE);
      await life.check("after sweeps");
      await life.checkSession("after sweeps");
    }
  }
});

await test("guessing is slowed down by running time: a leap grants nothing and takes nothing", async (t) => {
  for (const step of [YEARS_10, -YEARS_10]) {
    const { site, subject } = await startSubject(t, {
      SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "3",
    });
    const guess = async (): Promise<number> =>
      (await subject.call("GET", "/gateway", { token: "slu_wrong" })).status;
    const spent = [await guess(), await guess(), await guess(), await guess()];
    t.same(spent, [401, 401, 401, 429]);
    site.clock.wall += step;
    t.equal(await guess(), 429);
    site.clock.advance(MINUTE);
    t.equal(await guess(), 401);
  }
});

await test("a box without a battery clock: 1970 after each power cut, and years behind a first start", async (t) => {
  const { site, subject } = await startSubject(t);
  const life = await Life.begin(t, subject);
  site.clock.advance(20 * MINUTE);
  for (const offMs of [HOUR / 6, 0]) {
    const right = site.clock.wall;
    await site.stop();
    site.clock.reboot({ wall: 0, synced: false });
    await site.begin();
    t.equal(await clockStateOf(subject), "unknown");
    await life.use();
    await life.check("in 1970");
    const { monotonic } = site.clock;
    await subject.pass(MINUTE);
    site.clock.wall = right + offMs + (site.clock.monotonic - monotonic);
    site.clock.synced = true;
    await subject.pass(SECOND);
    t.equal(await clockStateOf(subject), "known");
    await life.use();
    await life.check("when it is known");
  }
  await life.checkSession("at the end");
});

await test("what has expired while nobody wrote anything does not come back, over a crash and in 1970", async (t) => {
  const { site, subject } = await startSubject(t);
  const expires_at = new Date((await timeOf(subject)) + 10 * SECOND).toISOString();
  const made = await subject.did("POST", "/gateway/tokens", { scopes: ["thing.read"], expires_at });
  const { token } = made.json as { token: string };
  await site.makeThing("boiler");
  const login = await site.makeCredential([{ entity: "things", id: ["boiler"] }], { expires_at });
  const isRefused = async (): Promise<boolean> =>
    (await subject.call("GET", "/A/things/boiler", { token })).status === 401 &&
    (await connackCode(t, subject, login)) === 4;
  t.notOk(await isRefused());
  await subject.pass(11 * SECOND);
  t.ok(await isRefused());
  site.clock.reboot({ wall: 0, synced: false });
  await site.crash();
  t.ok(await isRefused());
});

await test("the leap to a known time ends nothing that was given so long, and what it was given ends", async (t) => {
  const { site, subject } = await startSubject(t, {
    SLUICE_LIMITS__SESSION_EXPIRY_S: "3600",
    SLUICE_HISTORY__PROPERTY_DAYS: "1",
  });
  await site.makeThing("boiler", { properties: { level: {} }, actions: { go: {} } });
  const right = site.clock.wall;
  await site.stop();
  site.clock.reboot({ wall: 0, synced: false });
  await site.begin();
  const minutes = async (count: number): Promise<void> => {
    for (let minute = 0; minute < count; minute += 1) await subject.pass(MINUTE);
  };
  await minutes(30);
  const login = await site.makeDevice("boiler");
  const away = { clientId: "away", clean: false };
  await (await Client.connect(t, subject, login, away)).end();
  const token = await issueToken(subject);
  const old = await site.makeDevice("boiler");
  await subject.did("PATCH", `/A/mqtt/${old.ulid}`, { password: "", overlap: 3_600 });
  const go = await subject.did("POST", "/A/things/boiler/actions/go", { go: { timeout: 3_600 } });
  await subject.did("PUT", "/A/things/boiler/properties/level", { level: 1 });
  const look = async () => {
    const request = await subject.did("GET", go.headers.get("location") ?? "");
    const history = await subject.did("GET", "/A/things/boiler/properties-history/level");
    const client = await Client.connect(t, subject, login, away);
    await client.end();
    return {
      token: (await subject.call("GET", "/A/things/boiler", { token })).status,
      old: await connackCode(t, subject, old),
      request: (request.json as { go: { status: string } }).go.status,
      session: client.sessionPresent,
      values: (history.json as { data: unknown[] }).data.length,
    };
  };
  const good = { token: 200, old: 0, request: "pending", session: true, values: 1 };
  t.same(await look(), good);
  site.clock.wall = right + 200 * DAY;
  site.clock.synced = true;
  await minutes(5);
  t.equal(await clockStateOf(subject), "known");
  t.same(await look(), good, "after the leap");
  await minutes(50);
  t.same(await look(), good, "and until its time is over");
  await minutes(62);
  t.same(await look(), { token: 401, old: 4, request: "expired", session: false, values: 1 });
});

await test("what the gateway makes of the clock is in GET /gateway and in the log", async (t) => {
  const { site, subject } = await startSubject(t);
  await site.makeThing("boiler", { properties: { level: {} } });
  await subject.pass(20 * MINUTE);
  site.clock.wall += YEARS_10;
  const before = await timeOf(subject);
  await subject.did("PUT", "/A/things/boiler/properties/level", { level: 1 });
  const page = (await subject.did("GET", "/A/things/boiler/properties-history/level")).json as {
    data: readonly { at: string }[];
  };
  t.equal(Date.parse(page.data[0]?.at ?? ""), before);
  const states = site.logged.filter(([event]) => event === "clock.state");
  t.match(states, [["clock.state", { state: "ahead", remedy: String }]]);
  const body = (await subject.did("GET", "/gateway")).json as { clock: object };
  t.match(body.clock, {
    state: "ahead",
    time: new Date(before).toISOString(),
    machine_time: new Date(before + YEARS_10).toISOString(),
    remedy: /clock\.trust/,
  });
});
