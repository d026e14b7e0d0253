import { base64LinesOf } from "./ca.ts";
import { headingOf, subscriptionsOf, type Card } from "./card.ts";
import { pythonBytes, pythonString, shellComment } from "./literals.ts";

/**
 * A program for MicroPython's umqtt.simple, which measures a `str` in characters and sends it in bytes:
 * so whatever may have others than ASCII is `bytes`.
 */
export function micropythonCard(card: Card): string {
  const { host, port, isTls, user, password, clientId, example } = card;
  const filters = subscriptionsOf(card).map((filter) => `    ${pythonBytes(filter)},\n`);
  const heading = [
    ...headingOf(card, 'for MicroPython with umqtt.simple (mip.install("umqtt.simple"))'),
    "Wi-Fi is to be up before.",
    ...(isTls ? ["So is the time: certificates are good from a day to a day."] : []),
    ...(password === undefined ? ["sluice_secrets.py on the device has MQTT_PASSWORD."] : []),
  ];
  return `${shellComment(heading)}${isTls ? "import binascii\nimport ssl\n" : ""}
from umqtt.simple import MQTTClient
${password === undefined ? "from sluice_secrets import MQTT_PASSWORD\n" : ""}
HOST = ${pythonString(host)}
PORT = ${port}
USER = ${pythonBytes(user)}
PASSWORD = ${password === undefined ? "MQTT_PASSWORD" : pythonBytes(password)}
CLIENT_ID = ${pythonBytes(clientId ?? user)}
SUBSCRIBE = [
${filters.join("")}]
${example === undefined ? "" : `TOPIC = ${pythonBytes(example.topic)}\nPAYLOAD = ${pythonBytes(example.payload)}\n`}

def on_message(topic, payload):
    print(topic.decode(), payload.decode())


${isTls ? contextOf(card) : ""}client = MQTTClient(CLIENT_ID, HOST, PORT, USER, PASSWORD, keepalive=60${isTls ? ", ssl=context" : ""})
client.set_callback(on_message)
client.connect()
for topic in SUBSCRIBE:
    client.subscribe(topic, qos=1)
${example === undefined ? "" : "client.publish(TOPIC, PAYLOAD, qos=1)\n"}while True:
    client.wait_msg()
`;
}

function contextOf({ caPem }: Card): string {
  const made = "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n";
  if (caPem === undefined) return made;
  const lines = base64LinesOf(caPem).map((line) => `    "${line}"\n`);
  return `${made}context.load_verify_locations(cadata=binascii.a2b_base64(\n${lines.join("")}))\n`;
}
