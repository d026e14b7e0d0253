import { pemLines } from "./ca.ts";
import { headingOf, mqttUrl, subscriptionsOf, type Card } from "./card.ts";
import { cComment, cString } from "./literals.ts";

/** A C file for ESP-IDF 5 with its component `mqtt`. */
export function espIdfCard(card: Card): string {
  const { isTls, user, password, clientId, example } = card;
  const heading = [
    ...headingOf(card, "for ESP-IDF 5 with its component mqtt"),
    ...(password === undefined ? ["CONFIG_SLUICE_MQTT_PASSWORD is to come from Kconfig."] : []),
    "Call sluice_start() once the network is up.",
  ];
  const filters = subscriptionsOf(card).map((filter) => `  ${cString(filter)},\n`);
  const secret = password === undefined ? "CONFIG_SLUICE_MQTT_PASSWORD" : cString(password);
  return `${cComment(heading)}#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "esp_event.h"
#include "mqtt_client.h"
#include "sdkconfig.h"
${isTls && card.caPem === undefined ? '#include "esp_crt_bundle.h"\n' : ""}
${isTls ? caDeclaration(card) : ""}${filters.length === 0 ? "" : `static const char *const SUBSCRIBE[] = {\n${filters.join("")}};\n`}${example === undefined ? "" : `static const char *const TOPIC = ${cString(example.topic)};\nstatic const char *const PAYLOAD = ${cString(example.payload)};\n`}
static void on_mqtt(void *arg, esp_event_base_t base, int32_t id, void *event_data) {
  (void)arg;
  (void)base;
  esp_mqtt_event_handle_t event = event_data;
  switch ((esp_mqtt_event_id_t)id) {
    case MQTT_EVENT_CONNECTED:
${filters.length === 0 ? "" : "      for (size_t i = 0; i < sizeof SUBSCRIBE / sizeof *SUBSCRIBE; i++) {\n        esp_mqtt_client_subscribe(event->client, SUBSCRIBE[i], 1);\n      }\n"}${example === undefined ? "" : "      esp_mqtt_client_publish(event->client, TOPIC, PAYLOAD, 0, 1, 0);\n"}      break;
    case MQTT_EVENT_DATA:
      printf("%.*s %.*s\\n", event->topic_len, event->topic, event->data_len, event->data);
      break;
    default:
      break;
  }
}

void sluice_start(void) {
  const esp_mqtt_client_config_t config = {
    .broker.address.uri = ${cString(mqttUrl(card))},
${verification(card)}    .credentials.username = ${cString(user)},
    .credentials.client_id = ${cString(clientId ?? user)},
    .credentials.authentication.password = ${secret},
  };
  esp_mqtt_client_handle_t client = esp_mqtt_client_init(&config);
  esp_mqtt_client_register_event(client, ESP_EVENT_ANY_ID, on_mqtt, NULL);
  esp_mqtt_client_start(client);
}
`;
}

function caDeclaration({ caPem }: Card): string {
  if (caPem === undefined) return "";
  const lines = pemLines(caPem).map((line) => `\n  ${cString(`${line}\n`)}`);
  return `static const char CA[] =${lines.join("")};\n`;
}

function verification({ isTls, caPem }: Card): string {
  if (!isTls) return "";
  return caPem === undefined
    ? "    .broker.verification.crt_bundle_attach = esp_crt_bundle_attach,\n"
    : "    .broker.verification.certificate = CA,\n";
}
