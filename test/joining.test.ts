import { connectAsync, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import { Daemon, daemonEnvironment, type Ready } from "./daemon.ts";

/** As many failed log-ins as the tests have, whatever the address. */
const FAILURES = "1000";
const ADMIN = "slu_0123456789abcdefghij";

/** The real daemon on a store that outlives it. */
class Box {
  readonly #t: Test;
  readonly #env: NodeJS.ProcessEnv;
  #daemon: Daemon;
  #ready: Ready;

  private constructor(t: Test, env: NodeJS.ProcessEnv, daemon: Daemon, ready: Ready) {
    this.#t = t;
    this.#env = env;
    this.#daemon = daemon;
    this.#ready = ready;
  }

  static async start(t: Test): Promise<Box> {
    const env = {
      ...daemonEnvironment(t),
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN,
      SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: FAILURES,
    };
    const daemon = new Daemon(t, [], env);
    return new Box(t, env, daemon, await daemon.ready);
  }

  get mqttPort(): number {
    return this.#ready.mqttPort;
  }

  /** Cuts it off, and starts it again. */
  async killAndStart(): Promise<void> {
    this.#daemon.signal("SIGKILL");
    await this.#daemon.ended;
    this.#daemon = new Daemon(this.#t, [], this.#env);
    this.#ready = await this.#daemon.ready;
  }

  async call(method: string, path: string, body?: unknown, token = ADMIN) {
    const response = await fetch(`http://127.0.0.1:${this.#ready.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = (text === "" ? {} : JSON.parse(text)) as Answered;
    return { status: response.status, json };
  }

  async open(): Promise<void> {
    const opened = await this.call("PUT", "/gateway/joining", { seconds: 600, account: "site" });
    this.#t.equal(opened.status, 200);
  }
}

type Answered = {
  readonly id: string;
  readonly poll: string;
  readonly status: string;
  readonly code: string;
  readonly card: { readonly user: string; readonly password: string; readonly port: number };
  readonly data: readonly { readonly id: string; readonly times: number }[];
};

async function connects(port: number, user: string, password: string) {
  let client: MqttClient;
  try {
    const options = { port, username: user, password, clientId: "pump-7", reconnectPeriod: 0 };
    client = await connectAsync(options);
  } catch {
    return false;
  }
  await client.subscribeAsync("status/site/things/pump-7/properties/#");
  await client.endAsync();
  return true;
}

await test("a device that joined connects with its card, also after a kill", async (t) => {
  const box = await Box.start(t);
  await box.open();
  const thing = { id: "pump-7", properties: { speed: { type: "number" } } };
  const asked = (await box.call("POST", "/join", { name: "Pump 7", thing }, "none")).json;
  const approve = `/gateway/joining/requests/${asked.id}/approve`;
  t.equal((await box.call("POST", approve)).status, 200);
  const { card } = (await box.call("GET", `/join/${asked.id}`, undefined, asked.poll)).json;
  t.equal(card.port, box.mqttPort);
  t.ok(await connects(box.mqttPort, card.user, card.password));
  await box.killAndStart();
  t.ok(await connects(box.mqttPort, card.user, card.password));
  t.match((await box.call("GET", "/gateway/joining")).json, { open: false, pending: 0 });
  t.equal((await box.call("POST", "/join", { name: "x" })).json.code, "joining-closed");
  t.equal((await box.call("GET", `/join/${asked.id}`, undefined, asked.poll)).status, 404);
});

await test("an MQTT client that was refused gets in with the password it has", async (t) => {
  const box = await Box.start(t);
  const password = "as the plant's engineer set it";
  // It has tried for long: what slows guessing must not hide it, nor keep it out.
  for (let n = 0; n < 12; n += 1) t.notOk(await connects(box.mqttPort, "plc", password));
  await box.open();
  for (let n = 0; n < 3; n += 1) t.notOk(await connects(box.mqttPort, "plc", password));
  t.notOk(await connects(box.mqttPort, "plc", "another password"));
  const listed = (await box.call("GET", "/gateway/joining/requests")).json.data;
  t.match(listed, [
    { by: "mqtt", client_id: "pump-7", user: "plc", times: 3, status: "pending" },
    { by: "mqtt", client_id: "pump-7", user: "plc", times: 1 },
  ]);
  t.notMatch(JSON.stringify(listed), /password|engineer|secret|hash/);
  const approve = `/gateway/joining/requests/${listed[0]?.id ?? ""}/approve`;
  t.equal((await box.call("POST", approve)).json.code, "malformed", "it is to say which Thing");
  t.equal((await box.call("POST", approve, { thing: { id: "pump-7" } })).status, 200);
  t.ok(await connects(box.mqttPort, "plc", password));
  t.notOk(await connects(box.mqttPort, "plc", "another password"));
  const twin = `/gateway/joining/requests/${listed[1]?.id ?? ""}/approve`;
  t.equal((await box.call("POST", twin, { thing: "pump-7" })).json.code, "conflict");
  await box.killAndStart();
  t.ok(await connects(box.mqttPort, "plc", password));
});

const KILLS = 6;

await test("killed around an approval, there is all of it or nothing", async (t) => {
  const box = await Box.start(t);
  for (let n = 0; n < KILLS; n += 1) {
    await box.open();
    const id = `pump-${n}`;
    const asked = (await box.call("POST", "/join", { name: id, thing: { id } })).json;
    const path = `/gateway/joining/requests/${asked.id}/approve`;
    // Cut off while it is under way, a little later each time, and once when it was answered.
    const answered = box.call("POST", path).then(
      ({ status }) => status === 200,
      () => false,
    );
    const waits = n === KILLS - 1 ? answered : new Promise((done) => setTimeout(done, n));
    await waits;
    await box.killAndStart();
    const wasAnswered = await answered;
    const thing = (await box.call("GET", `/site/things/${id}`)).status === 200;
    const { data } = (await box.call("GET", "/site/mqtt")).json;
    const credential = JSON.stringify(data).includes(`"joined: ${id}"`);
    t.equal(credential, thing, `${id}: credential and Thing are one`);
    t.ok(thing || !wasAnswered, `${id}: what was answered is there`);
  }
});
