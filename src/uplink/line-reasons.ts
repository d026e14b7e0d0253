import { LineFailure } from "./line-failure.ts";

/** What a broker says no to a CONNECT with, in plain words. */
export function connackFailure(
  protocol: 4 | 5,
  code: number,
  reasonString: string | undefined,
): LineFailure {
  const words = protocol === 4 ? RETURN_CODES[code] : (CONNACK_REASONS[code] ?? REASONS[code]);
  const said = words ?? `the broker refused the connection (code ${code})`;
  return new LineFailure("refused", withReason(said, reasonString), { code });
}

/** Of a DISCONNECT the broker sent. */
export function disconnectFailure(code: number, reasonString: string | undefined): LineFailure {
  const words = REASONS[code] ?? `reason code ${hex(code)}`;
  const said = `the broker ended the connection: ${words}`;
  return new LineFailure("closed", withReason(said, reasonString), { code });
}

/** Of a reason code of 0x80 and more in PUBACK or SUBACK. */
export function reasonWords(code: number, reasonString: string | undefined): string {
  return withReason(REASONS[code] ?? `reason code ${hex(code)}`, reasonString);
}

const NOT_LET_IN = "user name, password or certificate is wrong or has no right";

/** MQTT 3.1.1 §3.2.2.3. */
const RETURN_CODES: Readonly<Record<number, string>> = {
  1: 'the broker does not speak this version of MQTT: try "protocol": 4',
  2: "the broker does not take the client id",
  3: "the broker is not available now",
  4: "user name or password is wrong",
  5: `the broker does not let us in: ${NOT_LET_IN}`,
};

/** MQTT 5 §3.2.2.2, where more can be said of a CONNECT; brokers say it of a wrong password, too. */
const CONNACK_REASONS: Readonly<Record<number, string>> = {
  0x87: `the broker does not let us in (not authorized): ${NOT_LET_IN}`,
};

/** MQTT 5 §2.4. */
const REASONS: Readonly<Record<number, string>> = {
  0x00: "no reason given",
  0x80: "unspecified error",
  0x81: "it took a packet of ours for malformed",
  0x82: "it took what we sent for a breach of the protocol",
  0x83: "its own rules are against it",
  0x84: 'the broker does not speak MQTT 5: set "protocol": 4',
  0x85: "the broker does not take the client id",
  0x86: "user name or password is wrong",
  0x87: "not authorized",
  0x88: "the broker is not available now",
  0x89: "the broker is busy",
  0x8a: "we are banned",
  0x8b: "the broker is shutting down",
  0x8c: "the broker wants another way to authenticate",
  0x8d: "it heard nothing from us within the keep alive",
  0x8e: "another client has connected with our client id",
  0x8f: "it does not take the topic filter",
  0x90: "it does not take the topic",
  0x91: "the packet id is in use",
  0x92: "the packet id is not known",
  0x93: "more publishes at once than it takes",
  0x94: "topic alias not valid",
  0x95: "a packet is larger than it takes",
  0x96: "more messages than it takes",
  0x97: "a quota is used up",
  0x98: "an administrator ended it",
  0x99: "the payload is not of the format it was said to be",
  0x9a: "the broker keeps no retained messages",
  0x9b: "the broker does not take this QoS",
  0x9c: "another server is to be used for now",
  0x9d: "the server has moved",
  0x9e: "the broker has no shared subscriptions",
  0x9f: "connections come too often",
  0xa0: "the longest time for a connection is over",
  0xa1: "the broker has no subscription identifiers",
  0xa2: "the broker has no subscriptions with wildcards",
};

/** A server's own words are shown as they are, but neither long nor with control characters. */
function withReason(said: string, reasonString: string | undefined): string {
  if (reasonString === undefined || reasonString === "") return said;
  const shown = reasonString.replaceAll(/\p{Cc}+/gu, " ").slice(0, 200);
  return `${said} (“${shown}”)`;
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}
