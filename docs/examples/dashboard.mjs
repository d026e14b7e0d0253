// Prints everything that happens to the Things of an account, refusals included. It begins with the
// present value of every property. A credential of the role "consumer" is enough.
//
//   MQTT_USER=… MQTT_PASSWORD=… node dashboard.mjs
import { env, stdout } from "node:process";
import mqtt from "mqtt";

const { MQTT_HOST = "127.0.0.1", MQTT_PORT = "1883", ACCOUNT = "site" } = env;

const client = mqtt.connect({
  host: MQTT_HOST,
  port: Number(MQTT_PORT),
  username: env.MQTT_USER,
  password: env.MQTT_PASSWORD,
  reconnectOnConnackError: true,
});
client.on("error", ({ message }) => stdout.write(`${message}\n`));
client.on("connect", () => {
  client.subscribe(`status/${ACCOUNT}/things/+/#`, { qos: 1 }, (error, granted) => {
    if (error !== null) stdout.write(`not granted: ${granted?.[0]?.topic ?? error.message}\n`);
  });
});
client.on("message", (topic, payload, { retain }) => {
  const [, , , thing, kind, name] = topic.split("/");
  const message = JSON.parse(payload.toString());
  const time = new Date().toTimeString().slice(0, 8);
  stdout.write(`${time} ${thing} ${describe(kind, name, message)}${retain ? " (present)" : ""}\n`);
});

function describe(kind, name, message) {
  switch (kind) {
    case "properties":
      return `${name} is ${JSON.stringify(message[name])}`;
    case "actions":
      return `action ${name} is ${message[name].status}`;
    case "events":
      return `event ${name} ${JSON.stringify(message[name].data ?? null)}`;
    case "errors":
      return `refused: ${message.code}: ${message.detail}`;
    default:
      return "has a new description";
  }
}
