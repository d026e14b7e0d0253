import { setTimeout as delay } from "node:timers/promises";
import mqtt from "mqtt";
import { test, type Test } from "tap";
import { httpTo, type Http } from "../crash/http.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { missingCompiler } from "../preload.ts";
import { makeRefusingDisk, type RefusingDisk } from "./refusing-disk.ts";

const ADMIN_TOKEN = "slu_refused-writes-test-administrator";
const THING = "/site/things/boiler";
const VALUE = `${THING}/properties/v`;
const TOPIC = "site/things/boiler/properties/v";
const skip = missingCompiler ?? false;

type Served = {
  readonly daemon: Daemon;
  readonly http: Http;
  readonly url: string;
};

async function serve(t: Test, disk: RefusingDisk): Promise<Served> {
  const daemon = new Daemon(t, [], {
    ...daemonEnvironment(t),
    ...disk.env,
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
  });
  const { httpPort, mqttPort } = await daemon.ready;
  return { daemon, http: httpTo(httpPort, ADMIN_TOKEN), url: `mqtt://127.0.0.1:${mqttPort}` };
}

async function makeLogin(http: Http): Promise<mqtt.IClientOptions> {
  await http("PUT", THING, { properties: { v: { type: "integer" } } });
  const resources = [{ entity: "things", id: ["*"] }];
  const { body } = await http("POST", "/site/mqtt", { resources });
  const { username, password } = body as { username: string; password: string };
  return { username, password, reconnectPeriod: 0 };
}

async function stateOf(http: Http): Promise<unknown> {
  const { body } = await http("GET", "/gateway");
  return (body as { store: { state: unknown } }).store.state;
}

async function historyOf(http: Http): Promise<readonly number[]> {
  const { body } = await http("GET", `${THING}/properties-history?limit=100`);
  const { data } = body as { data: readonly { properties: { v: number } }[] };
  return data.map(({ properties }) => properties.v).reverse();
}

await test(
  "a disk that turns read-only: changes are refused and held, reads go on, and it mends by itself",
  { skip },
  async (t) => {
    const disk = makeRefusingDisk(t);
    const { daemon, http, url } = await serve(t, disk);
    const login = await makeLogin(http);
    const reader = await mqtt.connectAsync(url, login);
    const heard: string[] = [];
    reader.on("message", (_topic, payload) => void heard.push(payload.toString()));
    await reader.subscribeAsync(`status/${TOPIC}`, { qos: 1 });
    const writer = await mqtt.connectAsync(url, login);
    t.equal((await http("PUT", VALUE, { v: 1 })).status, 200);

    disk.refuse("EROFS");
    const inFailedBatch = await http("PUT", VALUE, { v: 2 });
    t.match(inFailedBatch, { status: 503, body: { code: "storage-full", detail: /read-only/ } });
    t.match(await http("PUT", VALUE, { v: 3 }), { status: 503, body: { code: "storage-full" } });
    let isAcknowledged = false;
    const held = writer
      .publishAsync(`set/${TOPIC}`, '{"v":4}', { qos: 1 })
      .then(() => (isAcknowledged = true));
    const newcomer = await mqtt.connectAsync(url, login);
    await newcomer.subscribeAsync(`status/${TOPIC}`, { qos: 1 });
    const statuses = new Set<number>();
    const read = async (): Promise<void> => {
      for (const path of [VALUE, `${THING}/properties-history`, "/site/things", "/gateway"]) {
        statuses.add((await http("GET", path)).status);
      }
    };
    const untilMs = Date.now() + 2_500;
    while (Date.now() < untilMs) await read();
    t.match((await http("GET", "/gateway")).body, {
      store: { state: "storage-full", reason: /read-only/, write_failures: 1 },
    });
    t.equal(isAcknowledged, false, "a publish is held");

    disk.relent();
    const acknowledged = (): boolean => isAcknowledged;
    while (!acknowledged()) await read();
    await held;
    t.same([...statuses], [200], "each read was answered, those while the database was opened too");
    t.equal((await http("PUT", VALUE, { v: 5 })).status, 200);
    t.same(await historyOf(http), [1, 2, 4, 5], "each once, in its order");
    t.equal(await stateOf(http), "ok");
    while (!heard.includes('{"v":5}')) await delay(20);
    t.same(heard.slice(-4), ['{"v":1}', '{"v":2}', '{"v":4}', '{"v":5}']);
    t.ok(reader.connected && writer.connected && newcomer.connected, "nobody was cut off");
    for (const client of [reader, writer, newcomer]) await client.endAsync(true);
    daemon.signal("SIGTERM");
    const { code, stdout } = await daemon.ended;
    t.equal(code, 0);
    t.equal(stdout.match(/"event":"store.write_failed"/g)?.length, 1, "it is told once");
    t.match(stdout, '"event":"store.reopened"');
  },
);

await test(
  "a single I/O error is mended: its request is refused, and nothing is lost",
  { skip },
  async (t) => {
    const disk = makeRefusingDisk(t);
    const { http } = await serve(t, disk);
    await makeLogin(http);
    t.equal((await http("PUT", VALUE, { v: 1 })).status, 200);
    disk.refuse("EIO", "once");
    t.match(await http("PUT", VALUE, { v: 2 }), { status: 503, body: { code: "storage-failed" } });
    while ((await stateOf(http)) !== "ok") await delay(20);
    t.equal((await http("PUT", VALUE, { v: 3 })).status, 200);
    t.same(await historyOf(http), [1, 2, 3]);
  },
);

await test(
  "I/O errors that stay end the process for a restart, and nothing acknowledged is lost",
  { skip },
  async (t) => {
    const disk = makeRefusingDisk(t);
    const { daemon, http } = await serve(t, disk);
    await makeLogin(http);
    for (let v = 1; v <= 20; v += 1) t.equal((await http("PUT", VALUE, { v })).status, 200);
    disk.refuse("EIO");
    t.match(await http("PUT", VALUE, { v: 21 }), { status: 503, body: { code: "storage-failed" } });
    const { code } = await daemon.ended;
    t.equal(code, 74);
    const start = await new Daemon(t, [], disk.env).ended;
    t.equal(start.code, 74, "it does not start on such a disk");
    t.match(start.stderr, /sluice: could not open the database in .*; the disk fails/);
    disk.relent();
    const again = await serve(t, disk);
    const history = await historyOf(again.http);
    t.same(
      history.slice(0, 20),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    t.ok(history.length <= 21, "what was refused may be there, once");
  },
);
