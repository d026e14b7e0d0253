import { pemLines } from "./ca.ts";
import { headingOf, subscriptionsOf, type Card } from "./card.ts";
import { pythonString, shellComment } from "./literals.ts";

/** A program for paho-mqtt, 1 and 2: publishes once, and prints what comes. */
export function pythonCard(card: Card): string {
  const { host, port, isTls, caPem, user, password, clientId, example } = card;
  const filters = subscriptionsOf(card).map((filter) => `    ${pythonString(filter)},\n`);
  const ca = caPem === undefined ? "" : `CA = """\\\n${pemLines(caPem).join("\n")}\n"""\n`;
  const context = `ssl.create_default_context(${caPem === undefined ? "" : "cadata=CA"})`;
  const heading = headingOf(card, "for Python with paho-mqtt (python3-paho-mqtt in Debian)");
  return `${shellComment(heading)}${password === undefined ? "import os\n" : ""}${isTls ? "import ssl\n" : ""}
import paho.mqtt.client as mqtt

HOST = ${pythonString(host)}
PORT = ${port}
USER = ${pythonString(user)}
PASSWORD = ${password === undefined ? 'os.environ["MQTT_PASSWORD"]' : pythonString(password)}
CLIENT_ID = ${pythonString(clientId ?? "")}
SUBSCRIBE = [
${filters.join("")}]
${example === undefined ? "" : `TOPIC = ${pythonString(example.topic)}\nPAYLOAD = ${pythonString(example.payload)}\n`}${isTls ? ca : ""}

def on_connect(client, userdata, flags, reason_code, properties=None):
    print("connected:", reason_code, flush=True)
    for topic in SUBSCRIBE:
        client.subscribe(topic, qos=1)
${example === undefined ? "" : "    client.publish(TOPIC, PAYLOAD, qos=1)\n"}

def on_message(client, userdata, message):
    print(message.topic, message.payload.decode(), flush=True)


version = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(version.VERSION2, CLIENT_ID) if version else mqtt.Client(CLIENT_ID)
client.username_pw_set(USER, PASSWORD)
${isTls ? `client.tls_set_context(${context})\n` : ""}client.on_connect = on_connect
client.on_message = on_message
client.connect(HOST, PORT)
client.loop_forever()
`;
}
