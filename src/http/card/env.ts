import { headingOf, subscriptionsOf, type Card } from "./card.ts";
import { envValue, shellComment } from "./literals.ts";

/** Variables for a shell, systemd, a container or a library that reads such files. */
export function envCard(card: Card): string {
  const { host, port, isTls, httpUrl, caPem, user, password, clientId, example, account } = card;
  const variables: readonly (readonly [name: string, value: string | undefined])[] = [
    ["MQTT_HOST", host],
    ["MQTT_PORT", String(port)],
    ["MQTT_TLS", isTls ? "1" : "0"],
    ["MQTT_USER", user],
    ["MQTT_PASSWORD", password],
    ["MQTT_CLIENT_ID", clientId],
    ["MQTT_SUBSCRIBE", subscriptionsOf(card).join("\n")],
    ["MQTT_TOPIC", example?.topic],
    ["MQTT_PAYLOAD", example?.payload],
    ["MQTT_CA", caPem],
    ["HTTP_URL", httpUrl],
    ["ACCOUNT", account],
  ];
  const notes = [
    ...headingOf(card, "variables of an environment"),
    ...(password === undefined ? ["MQTT_PASSWORD is to be set besides."] : []),
    "MQTT_SUBSCRIBE has a topic filter a line.",
  ];
  const lines = variables.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${envValue(value)}\n`],
  );
  return shellComment(notes) + lines.join("");
}
