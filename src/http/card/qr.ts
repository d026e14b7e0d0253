import { QR_BYTES_MAX, svgQr } from "../../qr.ts";
import type { JsonObject } from "../../thing/json.ts";
import { mqttUrl, type Card } from "./card.ts";
import { fingerprintOf } from "./json.ts";

/** An SVG image of a QR code; what it says is `qrText`. */
export function qrCard(card: Card): string {
  return svgQr(qrText(card));
}

/**
 * One JSON object, short so that the code can be read from afar: the CA itself is to be fetched from
 * `ca`, and is the right one if it has this SHA-256. It is ASCII, because readers guess at the encoding of
 * anything else. A client id or password that fits into no code is left out.
 */
export function qrText(card: Card): string {
  const { httpUrl, caPem, user, password, clientId } = card;
  const texts = [
    { ...(password === undefined ? {} : { password }), ...idMember(clientId) },
    password === undefined ? {} : { password },
    {},
  ].map((secrets) =>
    asciiJson({
      sluice: 1,
      mqtt: mqttUrl(card),
      http: httpUrl,
      user,
      ...secrets,
      ...(caPem === undefined ? {} : { ca: `${httpUrl}/ca.crt`, ca_sha256: fingerprintOf(caPem) }),
    }),
  );
  return texts.find((text) => text.length <= QR_BYTES_MAX) ?? "";
}

function asciiJson(value: JsonObject): string {
  const escaped = (unit: string): string =>
    `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replaceAll(/[^ -~]/g, escaped);
}

function idMember(clientId: string | undefined): { readonly client_id?: string } {
  return clientId === undefined ? {} : { client_id: clientId };
}
