import { generate, type IConnackPacket, type Packet } from "mqtt-packet";
import { FIXED_LIMITS } from "../limits.ts";
import type { Route } from "./line-dial.ts";
import { LineFailure } from "./line-failure.ts";
import { varInt } from "./line-publish-frame.ts";
import { connackFailure } from "./line-reasons.ts";

/** Published by the broker when a line ends without leave. */
export type Will = {
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain: boolean;
  readonly qos: 0 | 1 | 2;
};

/** Everything one connection needs to know. */
export type LineSettings = Route & {
  readonly protocol: 4 | 5;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  /** No session is kept: for a try. */
  readonly clean?: boolean;
  readonly keepaliveS: number;
  /** How long the broker keeps our session without a line; MQTT 5. */
  readonly sessionExpiryS: number;
  /** How long an acknowledgement may be outstanding. */
  readonly stallMs: number;
  readonly will?: Will;
};

/** What the broker said of itself when it took our CONNECT. */
export type Granted = {
  /** It has our session: subscriptions, and what is queued for us. */
  readonly sessionPresent: boolean;
  /** Publishes it takes at once without having acknowledged one. */
  readonly receiveMax: number;
  /** The largest packet it takes. */
  readonly packetBytesMax: number;
  readonly retainAvailable: boolean;
  readonly qosMax: 0 | 1 | 2;
  /** What it wants in place of our keep alive. */
  readonly keepaliveS?: number;
};

/** [MQTT-2.2.3]: 256 MiB, and the longest fixed header. */
const PACKET_BYTES_MAX = 268_435_460;
const RECEIVE_MAX = 65_535;

export function connectPacket(settings: LineSettings): Buffer {
  const { protocol, clientId, keepaliveS, username, password, will, clean = false } = settings;
  const isNameless = username === undefined && password !== undefined;
  const packet = generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: protocol,
    clean,
    clientId,
    keepalive: keepaliveS,
    ...(username === undefined ? {} : { username }),
    ...(isNameless ? { username: PLACEHOLDER } : {}),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined ? {} : { will: { ...will } }),
    ...(protocol === 4
      ? {}
      : {
          properties: {
            sessionExpiryInterval: clean ? 0 : settings.sessionExpiryS,
            receiveMaximum: FIXED_LIMITS.uplinkReceiveMax,
            maximumPacketSize: FIXED_LIMITS.uplinkPacketBytesMax,
          },
        }),
  });
  return isNameless ? withoutUsername(packet, Buffer.byteLength(password)) : packet;
}

const PLACEHOLDER = "-";

/** MQTT 5 §3.1.2.9 allows a password without a user name; `mqtt-packet` does not write one. */
function withoutUsername(packet: Buffer, passwordBytes: number): Buffer {
  // The length of the packet ends with the first byte below 0x80 (§1.5.5).
  const bodyAt = 2 + packet.subarray(1).findIndex((byte) => byte < 0x80);
  const body = Buffer.from(packet.subarray(bodyAt));
  const flagsAt = 2 + "MQTT".length + 1;
  body.writeUInt8(body.readUInt8(flagsAt) & 0x7f, flagsAt);
  // Each text has its length before it in two bytes; the password is the last.
  const nameEnd = body.length - passwordBytes - 2;
  const nameAt = nameEnd - PLACEHOLDER.length - 2;
  const rest = Buffer.concat([body.subarray(0, nameAt), body.subarray(nameEnd)]);
  return Buffer.concat([packet.subarray(0, 1), Buffer.from(varInt(rest.length), "latin1"), rest]);
}

/** What the first packet from the broker means. */
export function grantedBy(settings: LineSettings, packet: Packet): Granted | LineFailure {
  if (packet.cmd !== "connack") {
    return new LineFailure("protocol", `it answered our CONNECT with ${packet.cmd}`);
  }
  const refusal = refusalOf(settings, packet);
  if (refusal !== undefined) return refusal;
  const { properties = {}, sessionPresent } = packet;
  // [MQTT-3.2.2-1]: there is none to be present.
  if (settings.clean === true && sessionPresent) {
    return new LineFailure("protocol", "it has a session that was to be clean");
  }
  const { receiveMaximum = RECEIVE_MAX, maximumPacketSize = PACKET_BYTES_MAX } = properties;
  // MQTT 5 §3.2.2.3.3 and .6: a protocol error.
  if (receiveMaximum === 0 || maximumPacketSize === 0) {
    return new LineFailure("protocol", "it takes 0 publishes, or packets of 0 bytes");
  }
  const { maximumQoS = 2, serverKeepAlive } = properties;
  if (maximumQoS === 0) {
    const words = "the broker takes QoS 0 only: it would acknowledge nothing";
    return new LineFailure("refused", words);
  }
  return {
    sessionPresent,
    receiveMax: receiveMaximum,
    packetBytesMax: maximumPacketSize,
    retainAvailable: properties.retainAvailable ?? true,
    qosMax: maximumQoS === 1 ? 1 : 2,
    ...(serverKeepAlive === undefined ? {} : { keepaliveS: serverKeepAlive }),
  };
}

function refusalOf({ protocol }: LineSettings, packet: IConnackPacket): LineFailure | undefined {
  const code = (protocol === 4 ? packet.returnCode : packet.reasonCode) ?? 0;
  if (code === 0) return undefined;
  // A broker that speaks no MQTT 5 answers as MQTT 3.1.1 does: 1, "unacceptable protocol version".
  const meant = protocol === 5 && code === 1 ? 0x84 : code;
  return connackFailure(protocol, meant, packet.properties?.reasonString);
}
