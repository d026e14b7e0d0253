import { pemLines } from "./ca.ts";
import { headingOf, subscriptionsOf, type Card } from "./card.ts";
import { cComment, cString } from "./literals.ts";

/** A sketch for an ESP32 with the library PubSubClient. */
export function arduinoCard(card: Card): string {
  const { host, port, isTls, caPem, user, password, clientId, example } = card;
  const secrets = [
    "SECRET_SSID and SECRET_PASS (of the Wi-Fi)",
    ...(password === undefined ? ["SECRET_MQTT_PASSWORD"] : []),
    ...(isTls && caPem === undefined ? ["SECRET_CA (in PEM, of the server's certificate)"] : []),
  ];
  const heading = [
    ...headingOf(card, "for an ESP32 with Arduino and the library PubSubClient"),
    `arduino_secrets.h is to define ${secrets.join(", ")}.`,
  ];
  const filters = subscriptionsOf(card).map((filter) => `  ${cString(filter)},\n`);
  return `${cComment(heading)}#include <WiFi.h>
#include <${isTls ? "WiFiClientSecure" : "WiFiClient"}.h>
#include <PubSubClient.h>
#include "arduino_secrets.h"

static const char *const MQTT_HOST = ${cString(host)};
static const uint16_t MQTT_PORT = ${port};
static const char *const MQTT_USER = ${cString(user)};
static const char *const MQTT_PASSWORD = ${password === undefined ? "SECRET_MQTT_PASSWORD" : cString(password)};
static const char *const MQTT_CLIENT_ID = ${cString(clientId ?? user)};
${isTls ? `static const char *const MQTT_CA =${caLiteral(caPem)};\n` : ""}${example === undefined ? "" : `static const char *const MQTT_TOPIC = ${cString(example.topic)};\nstatic const char *const MQTT_PAYLOAD = ${cString(example.payload)};\n`}${filters.length === 0 ? "" : `static const char *const MQTT_SUBSCRIBE[] = {\n${filters.join("")}};\n`}
static ${isTls ? "WiFiClientSecure" : "WiFiClient"} network;
static PubSubClient mqtt(network);

static void onMessage(char *topic, uint8_t *payload, unsigned int length) {
  Serial.printf("%s %.*s\\n", topic, (int)length, (const char *)payload);
}

static void connectMqtt() {
  while (!mqtt.connect(MQTT_CLIENT_ID, MQTT_USER, MQTT_PASSWORD)) {
    Serial.printf("MQTT: state %d\\n", mqtt.state());
    delay(5000);
  }
${filters.length === 0 ? "" : "  for (const char *filter : MQTT_SUBSCRIBE) mqtt.subscribe(filter, 1);\n"}${example === undefined ? "" : "  mqtt.publish(MQTT_TOPIC, MQTT_PAYLOAD);\n"}}

void setup() {
  Serial.begin(115200);
  WiFi.begin(SECRET_SSID, SECRET_PASS);
  while (WiFi.status() != WL_CONNECTED) delay(500);
${isTls ? "  network.setCACert(MQTT_CA);\n" : ""}  mqtt.setServer(MQTT_HOST, MQTT_PORT);
  mqtt.setBufferSize(2048);
  mqtt.setCallback(onMessage);
}

void loop() {
  if (!mqtt.connected()) connectMqtt();
  mqtt.loop();
}
`;
}

function caLiteral(caPem: string | undefined): string {
  if (caPem === undefined) return " SECRET_CA";
  return pemLines(caPem)
    .map((line) => `\n  ${cString(`${line}\n`)}`)
    .join("");
}
