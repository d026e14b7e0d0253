import { pemLines } from "./ca.ts";
import { headingOf, subscriptionsOf, type Card } from "./card.ts";
import { shellComment, shellWord } from "./literals.ts";

const CA_FILE = "sluice-ca.crt";

/** A shell script for mosquitto's clients: one line publishes, one shows what comes. */
export function mosquittoCard(card: Card): string {
  const { caPem, password, example } = card;
  const filters = subscriptionsOf(card).map((filter) => `-t ${shellWord(filter)}`);
  const publish =
    example === undefined
      ? "# There is no property yet that could be published.\n"
      : `mosquitto_pub ${connection(card)} -q 1 -t ${shellWord(example.topic)} -m ${shellWord(example.payload)}\n`;
  return [
    shellComment(headingOf(card, "for mosquitto's clients")),
    password === undefined
      ? ': "${MQTT_PASSWORD:?the password is to be in MQTT_PASSWORD}"\n'
      : `MQTT_PASSWORD=${shellWord(password)}\n`,
    caPem === undefined ? "" : `cat > ${CA_FILE} <<'END'\n${pemLines(caPem).join("\n")}\nEND\n`,
    publish,
    filters.length === 0 ? "" : `mosquitto_sub ${connection(card)} -q 1 -v ${filters.join(" ")}\n`,
  ].join("");
}

function connection({ host, port, isTls, caPem, user, clientId }: Card): string {
  const tls = caPem === undefined ? "--tls-use-os-certs " : `--cafile ${CA_FILE} `;
  const id = clientId === undefined ? "" : ` -i ${shellWord(clientId)}`;
  return `-h ${shellWord(host)} -p ${port} ${isTls ? tls : ""}-u ${shellWord(user)} -P "$MQTT_PASSWORD"${id}`;
}
