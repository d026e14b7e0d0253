import { findCredential } from "../interactions/credentials.ts";
import { showPatterns } from "../interactions/credential-resources.ts";
import type { Credential } from "../store/credentials.ts";
import type { Json } from "../thing/json.ts";
import { arduinoCard } from "./card/arduino.ts";
import type { Card } from "./card/card.ts";
import { envCard } from "./card/env.ts";
import { espIdfCard } from "./card/esp-idf.ts";
import { exampleFor } from "./card/example.ts";
import { jsonCard } from "./card/json.ts";
import { micropythonCard } from "./card/micropython.ts";
import { mosquittoCard } from "./card/mosquitto.ts";
import { pythonCard } from "./card/python.ts";
import { qrCard } from "./card/qr.ts";
import { onAccount, param, type Answer, type AuthorisedCall, type Call } from "./call.ts";
import { invalidParameter, single } from "./query.ts";

const FORMATS = {
  json: jsonCard,
  env: envCard,
  mosquitto: mosquittoCard,
  arduino: arduinoCard,
  "esp-idf": espIdfCard,
  micropython: micropythonCard,
  python: pythonCard,
  qr: qrCard,
} as const satisfies Record<string, (card: Card) => Json>;

export type CardFormat = keyof typeof FORMATS;

/**
 * The format that this parameter of the query asks for.
 * @throws GatewayError `invalid-parameter`.
 */
export function cardFormat(call: Pick<Call, "query">, parameter: string): CardFormat | undefined {
  const text = single(call.query, parameter);
  if (text === undefined || isFormat(text)) return text;
  throw invalidParameter(parameter, `must be one of ${Object.keys(FORMATS).join(", ")}`);
}

function isFormat(text: string): text is CardFormat {
  return Object.hasOwn(FORMATS, text);
}

export function renderCard(card: Card, format: CardFormat): Json {
  return FORMATS[format](card);
}

/** What the card of a credential says to whoever came to the box as this call did. */
export function cardOf(call: Call, credential: Credential, password: string | undefined): Card {
  const { store, mqttPort = 0, mqttsPort, caPem } = call.deps;
  const { account, ulid, username, grants, clientId } = credential;
  const example = exampleFor(store, account, grants);
  return {
    account,
    ulid,
    host: call.host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"),
    port: mqttsPort ?? mqttPort,
    isTls: mqttsPort !== undefined,
    httpUrl: httpUrlOf(call),
    ...(mqttsPort === undefined || caPem === undefined ? {} : { caPem }),
    user: username,
    ...(password === undefined ? {} : { password }),
    ...(clientId === undefined ? {} : { clientId }),
    topics: showPatterns(store, account, grants),
    ...(example === undefined ? {} : { example }),
  };
}

function httpUrlOf({ host, deps }: Call): string {
  const { httpsPort } = deps;
  return httpsPort === undefined
    ? `http://${host}`
    : `https://${host.replace(/:\d+$/, "")}:${httpsPort}`;
}

/** Without the password, which was shown once. */
export function getCard(call: AuthorisedCall): Answer {
  const format = cardFormat(call, "format") ?? "json";
  const on = { ...onAccount(call), ulid: param(call, "ulid") };
  const rendered = renderCard(cardOf(call, findCredential(call.deps, on), undefined), format);
  if (typeof rendered !== "string") return { status: 200, body: rendered };
  const mediaType = format === "qr" ? "image/svg+xml" : "text/plain; charset=utf-8";
  return { status: 200, text: rendered, mediaType };
}
