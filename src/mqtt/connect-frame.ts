import { FIXED_LIMITS } from "../limits.ts";
import { topicLevels } from "../thing/topics.ts";
import { fault, type ConnectFrame, type FaultFrame, type ProtocolLevel } from "./frame-kinds.ts";
import type { Will } from "./frame-kinds.ts";
import {
  qosOf,
  readText,
  readTopicName,
  takeByte,
  takeField,
  takeUint16,
  type Cursor,
} from "./frame-fields.ts";

/**
 * Reads a whole CONNECT packet whose body begins at `bodyAt`. Another protocol is found before the
 * rest is read, which it may lay out differently; a bad client id after it, since what is malformed
 * gets no CONNACK at all [MQTT-3.1.4-1].
 */
export function decodeConnect(bytes: Buffer, bodyAt: number): ConnectFrame | FaultFrame {
  const cursor: Cursor = { bytes, at: bodyAt };
  const name = takeField(cursor);
  const level = takeByte(cursor);
  if (name === undefined || level === undefined) return cutShort();
  const protocolLevel = LEVELS.get(name.toString("latin1"));
  // Under another name this may be no MQTT at all: nothing is said to it.
  if (protocolLevel === undefined) return fault("protocol-name", "MQTT-3.1.2-1");
  if (level !== protocolLevel) return fault("protocol-level", "MQTT-3.1.2-2", 1);

  const flags = takeByte(cursor);
  const keepalive = takeUint16(cursor);
  if (flags === undefined || keepalive === undefined) return cutShort();
  const ofFlags = connectFlagsFault(flags);
  if (ofFlags !== undefined) return ofFlags;

  const payload = takePayload(cursor, flags);
  if ("kind" in payload) return payload;
  if (cursor.at !== bytes.length) return fault("length", "MQTT-3.1.4-1");
  const clean = (flags & FLAG_CLEAN) !== 0;
  const ofClientId = clientIdFault(payload.clientId, protocolLevel, clean);
  if (ofClientId !== undefined) return ofClientId;
  return { kind: "connect", bytes, protocolLevel, clean, keepalive, ...payload };
}

const FLAG_RESERVED = 0x01;
const FLAG_CLEAN = 0x02;
const FLAG_WILL = 0x04;
const FLAG_WILL_RETAIN = 0x20;
const FLAG_PASSWORD = 0x40;
const FLAG_USERNAME = 0x80;

const LEVELS: ReadonlyMap<string, ProtocolLevel> = new Map([
  ["MQTT", 4],
  ["MQIsdp", 3],
]);

function connectFlagsFault(flags: number): FaultFrame | undefined {
  if ((flags & FLAG_RESERVED) !== 0) return fault("connect-flags", "MQTT-3.1.2-3");
  const willQos = qosOf((flags >> 3) & 3);
  if ((flags & FLAG_WILL) !== 0) {
    if (willQos === undefined) return fault("connect-flags", "MQTT-3.1.2-14");
  } else {
    if (willQos !== 0) return fault("connect-flags", "MQTT-3.1.2-13");
    if ((flags & FLAG_WILL_RETAIN) !== 0) return fault("connect-flags", "MQTT-3.1.2-15");
  }
  if ((flags & (FLAG_USERNAME | FLAG_PASSWORD)) === FLAG_PASSWORD) {
    return fault("connect-flags", "MQTT-3.1.2-22");
  }
  return undefined;
}

type ConnectPayload = Pick<ConnectFrame, "clientId" | "will" | "username" | "password">;

/** The fields of the payload, in the one order they may come in [MQTT-3.1.3-1]. */
function takePayload(cursor: Cursor, flags: number): ConnectPayload | FaultFrame {
  const clientId = takeText(cursor);
  if (typeof clientId !== "string") return clientId;

  let will: Will | undefined;
  if ((flags & FLAG_WILL) !== 0) {
    const taken = takeWill(cursor, flags);
    if ("kind" in taken) return taken;
    will = taken;
  }
  let username: string | undefined;
  if ((flags & FLAG_USERNAME) !== 0) {
    const taken = takeText(cursor);
    if (typeof taken !== "string") return taken;
    username = taken;
  }
  let password: Buffer | undefined;
  if ((flags & FLAG_PASSWORD) !== 0) {
    password = takeField(cursor);
    if (password === undefined) return cutShort();
  }
  return { clientId, will, username, password };
}

function takeWill(cursor: Cursor, flags: number): Will | FaultFrame {
  const topicField = takeField(cursor);
  if (topicField === undefined) return cutShort();
  const topic = readTopicName(topicField);
  if (typeof topic !== "string") return topic;
  const payload = takeField(cursor);
  if (payload === undefined) return cutShort();
  return {
    topic,
    levels: topicLevels(topic),
    payload,
    qos: qosOf((flags >> 3) & 3) ?? 0,
    retain: (flags & FLAG_WILL_RETAIN) !== 0,
  };
}

function takeText(cursor: Cursor): string | FaultFrame {
  const field = takeField(cursor);
  if (field === undefined) return cutShort();
  return readText(field);
}

function clientIdFault(
  clientId: string,
  protocolLevel: ProtocolLevel,
  clean: boolean,
): FaultFrame | undefined {
  // MQTT 3.1 §3.1 has no empty client id; its upper bound of 23 is ignored, as other brokers do.
  if (clientId === "" && (!clean || protocolLevel === 3)) {
    return fault("client-id", "MQTT-3.1.3-8", 2);
  }
  if (Buffer.byteLength(clientId) > FIXED_LIMITS.clientIdBytesMax) {
    return fault("client-id", "MQTT-3.1.3-9", 2);
  }
  return undefined;
}

function cutShort(): FaultFrame {
  return fault("length", "MQTT-3.1.4-1");
}
