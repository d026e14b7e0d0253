// A device with MQTT.js: it reports the load of this machine, can be told how often, and answers
// the action "identify". Its Thing is station.json.
//
//   MQTT_USER=… MQTT_PASSWORD=… node device.mjs
import { hostname, loadavg } from "node:os";
import { env, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import mqtt from "mqtt";

const { MQTT_HOST = "127.0.0.1", MQTT_PORT = "1883", ACCOUNT = "site", THING = "station" } = env;
const path = `${ACCOUNT}/things/${THING}`;
const seen = new Set(); // At QoS 1 a request can come twice.
let intervalS = 10;

const client = mqtt.connect({
  host: MQTT_HOST,
  port: Number(MQTT_PORT),
  username: env.MQTT_USER,
  password: env.MQTT_PASSWORD,
  clientId: THING, // Stays the same, so that the session is found again.
  clean: false,
  keepalive: 60,
  reconnectPeriod: 1_000 + Math.random() * 4_000, // Not all devices at once after a power cut.
  reconnectOnConnackError: true,
});
client.on("error", ({ message }) => stdout.write(`${message}\n`));
client.on("message", (topic, payload) => {
  const message = JSON.parse(payload.toString());
  if (topic.endsWith("/properties/interval")) intervalS = message.interval;
  else if (message.identify?.status === "pending") void identify(message.identify);
});
client.once("connect", () => void run());

async function run() {
  const filters = [`status/${path}/properties/interval`, `status/${path}/actions/+`];
  await client.subscribeAsync(filters, { qos: 1 }); // The present interval comes at once.
  await publish("events/started", { started: {} });
  for (;;) {
    // While the line is down MQTT.js keeps readings in memory; a real device would bound them.
    void publish("properties/load", { load: loadavg()[0] });
    await sleep(intervalS * 1_000);
  }
}

async function identify({ href, input }) {
  if (seen.has(href)) return;
  seen.add(href);
  if (seen.size > 100) seen.delete(seen.values().next().value);
  await publish("actions/identify", { identify: { href, status: "running" } });
  stdout.write(`here I am, for ${input.seconds} s\n`);
  await sleep(input.seconds * 1_000);
  const report = { href, status: "completed", output: hostname() };
  await publish("actions/identify", { identify: report });
}

/** Resolves when the gateway has it on disk. */
async function publish(topic, payload) {
  await client.publishAsync(`set/${path}/${topic}`, JSON.stringify(payload), { qos: 1 });
}
