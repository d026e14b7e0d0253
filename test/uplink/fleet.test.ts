import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { startGateway } from "../../src/gateway.ts";
import { QUIET_LOG } from "../store/quiet-log.ts";
import { needs } from "../systemd/programs.ts";
import { within } from "../wire/within.ts";
import { startMosquitto, temporaryFolder } from "./brokers.ts";

const GATEWAYS = 50;
const TOKEN = "slu_aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const METER = { properties: { n: { type: "number" } }, events: { tick: {} } };
/** Each writes so many values before, during and after the outage. */
const VALUES = 5;

type Call = (method: string, path: string, json: unknown) => Promise<void>;

/** A whole gateway in this process, whose account is `plant-<number>` upstream, as docs/fleet.md has it. */
async function startMember(t: Test, folder: string, number: number, port: number): Promise<Call> {
  const file = join(folder, `${number}.toml`);
  const uplink = [
    ...["[[uplink]]", 'name = "fleet"', `url = "mqtt://127.0.0.1:${port}"`],
    ...[`accounts = { site = "plant-${number}" }`, "retry = { min_s = 0.5, max_s = 1 }"],
  ];
  writeFileSync(file, uplink.join("\n"));
  const env = {
    SLUICE_STORE__PATH: join(folder, String(number)),
    SLUICE_MQTT__PORT: "0",
    SLUICE_HTTP__PORT: "0",
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
  };
  const loaded = loadConfig({ file, env });
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  const gateway = await startGateway(loaded.config, {
    clock: systemClock("always"),
    random: systemRandom,
    log: QUIET_LOG,
    announceToken: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  t.teardown(async () => gateway.stop());
  return async (method, path, json) => {
    const response = await fetch(`http://127.0.0.1:${gateway.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(json),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${number}: ${method} ${path} is ${response.status}`);
  };
}

type Message = {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  readonly marks: Readonly<Record<string, string>>;
};

/** Hears everything; `until` resolves when what it has heard is enough. */
async function listen(t: Test, port: number, options: IClientOptions = {}) {
  const client: MqttClient = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    ...{ protocolVersion: 5, reconnectPeriod: 100, ...options },
  });
  t.teardown(async () => client.endAsync(true));
  const heard: Message[] = [];
  let wake = (): void => undefined;
  client.on("message", (topic, payload, { retain, properties }) => {
    const marks = { ...properties?.userProperties } as Record<string, string>;
    heard.push({ topic, payload: payload.toString(), retain, marks });
    wake();
  });
  await client.subscribeAsync("status/#", { qos: 1 });
  const until = async (what: string, isEnough: () => boolean): Promise<void> => {
    const waiting = async (): Promise<void> => {
      while (!isEnough()) await new Promise<void>((resolve) => (wake = resolve));
    };
    await within(what, waiting());
  };
  return { client, heard, until };
}

const valueTopic = (number: number): string => `status/plant-${number}/things/meter/properties/n`;

await test(
  "fifty gateways on one broker: no hole, no mix, nothing twice downstream",
  needs("mosquitto"),
  async (t) => {
    const folder = temporaryFolder(t);
    const { port, broker } = await startMosquitto(t, (own, place) => [
      ...[`listener ${own} 127.0.0.1`, "allow_anonymous true"],
      ...["persistence true", `persistence_location ${place}/`, "max_queued_messages 0"],
    ]);
    const historian = await listen(t, port, {
      ...{ clientId: "historian", clean: false, properties: { sessionExpiryInterval: 600 } },
    });
    const numbers = Array.from({ length: GATEWAYS }, (_, index) => index);
    const members: Call[] = [];
    for (const number of numbers) members.push(await startMember(t, folder, number, port));
    const everywhere = async (method: string, path: string, json: unknown): Promise<void> => {
      await Promise.all(members.map(async (call) => call(method, path, json)));
    };
    const write = async (from: number): Promise<void> => {
      for (let n = from; n < from + VALUES; n += 1) {
        await everywhere("PUT", "/site/things/meter/properties/n", { n });
      }
    };
    await everywhere("PUT", "/site/things/meter", METER);
    await write(1);
    await historian.until("the values before the outage", () => hasAll(historian.heard, VALUES));

    await broker.stop();
    await write(VALUES + 1);
    await everywhere("POST", "/site/things/meter/events/tick", { tick: {} });
    const startMs = performance.now();
    await broker.start();
    await write(2 * VALUES + 1);
    await historian.until("all values", () => hasAll(historian.heard, 3 * VALUES));
    t.comment(`all were back after ${Math.round(performance.now() - startMs)} ms`);

    for (const number of numbers) {
      const own = ofGateway(historian.heard, number);
      const bySeq = new Map(
        own.map(({ marks, topic, payload }) => [marks["seq"], topic + payload]),
      );
      // The Thing, its values, and an event.
      const expected = Array.from({ length: 3 * VALUES + 2 }, (_, index) => String(index + 1));
      t.same(
        [...bySeq.keys()]
          .map(Number)
          .sort((a, b) => a - b)
          .map(String),
        expected,
        "no hole",
      );
      const once = new Map(own.map((message) => [message.marks["id"], message]));
      t.equal(once.size, expected.length, "what came twice has the id it had");
      const values = [...once.values()].filter(({ topic }) => topic === valueTopic(number));
      const shown = values.map(({ payload }) => (JSON.parse(payload) as { n: number }).n);
      t.same(
        shown,
        [...shown].sort((a, b) => a - b),
        "in order",
      );
      t.equal(new Set(shown).size, 3 * VALUES);
    }

    await historian.client.publishAsync("set/plant-7/things/meter/properties/n", '{"n":100}', {
      qos: 1,
    });
    const isSeven = ({ topic, payload }: Message): boolean =>
      topic === valueTopic(7) && payload === '{"n":100}';
    await historian.until("the command at gateway 7", () => historian.heard.some(isSeven));
    const late = await listen(t, port);
    const isPresence = ({ topic }: Message): boolean =>
      /^status\/plant-\d+\/gateways\//.test(topic);
    await late.until("what is retained", () => late.heard.length >= 3 * GATEWAYS);
    const present = late.heard.filter(({ retain }) => retain);
    for (const number of numbers) {
      const value = present.find(({ topic }) => topic === valueTopic(number));
      t.equal(value?.payload, `{"n":${number === 7 ? 100 : 3 * VALUES}}`, `gateway ${number}`);
    }
    const states = present.filter(isPresence).map(({ payload }) => JSON.parse(payload) as unknown);
    t.equal(states.length, GATEWAYS);
    t.match(
      states,
      states.map(() => ({ state: "online" })),
    );
  },
);

function ofGateway(heard: readonly Message[], number: number): readonly Message[] {
  const start = `status/plant-${number}/things/`;
  return heard.filter(({ topic, marks }) => topic.startsWith(start) && marks["seq"] !== undefined);
}

/** Whether the last of so many values has come from every gateway. */
function hasAll(heard: readonly Message[], last: number): boolean {
  const done = heard.filter(({ payload }) => payload === `{"n":${last}}`);
  return new Set(done.map(({ topic }) => topic)).size === GATEWAYS;
}
