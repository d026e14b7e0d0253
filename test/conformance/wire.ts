import { packet } from "../mqtt/packets.ts";

// Packets of MQTT 3.1.1 as bytes, written without the gateway's own code. What is out of the
// ordinary is spelled out with `packet` and `raw`.

export type Qos = 0 | 1 | 2;

/** A string with its length before it, §1.5.3; bytes go as they are. */
export function field(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export const hex = (value: number, digits: number): string =>
  value.toString(16).padStart(digits, "0");

export type WillFields = {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: Qos;
  readonly retain?: boolean;
};

export type ConnectFields = {
  readonly id: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: WillFields | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
};

/** CONNECT, §3.1: clean and without keep alive unless told otherwise. */
export function connect(fields: ConnectFields): Buffer {
  const { id, clean = true, keepalive = 0, will, user, password } = fields;
  const flags =
    (user === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40) |
    (will === undefined ? 0 : 0x04 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)) |
    (clean ? 0x02 : 0);
  const rest = [
    field(id),
    ...(will === undefined ? [] : [field(will.topic), field(will.payload)]),
    ...(user === undefined ? [] : [field(user)]),
    ...(password === undefined ? [] : [field(password)]),
  ];
  const head = `0004 'MQTT' 04 ${hex(flags, 2)} ${hex(keepalive, 4)}`;
  return packet("10", head, Buffer.concat(rest));
}

export function connack(sessionPresent: boolean, code = 0): Buffer {
  return packet("20", `${hex(sessionPresent ? 1 : 0, 2)} ${hex(code, 2)}`);
}

export type PublishFlags = {
  readonly qos?: Qos;
  /** For QoS 1 and 2. */
  readonly id?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
};

export function publish(topic: string, payload: string | Uint8Array, flags: PublishFlags = {}) {
  const { qos = 0, id = 1, dup = false, retain = false } = flags;
  const first = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  const id16 = qos === 0 ? "" : hex(id, 4);
  return packet(
    hex(first, 2),
    "",
    Buffer.concat([field(topic), packetIdBytes(id16), Buffer.from(payload)]),
  );
}

const packetIdBytes = (id16: string): Buffer => Buffer.from(id16, "hex");

export const puback = (id: number): Buffer => packet("40", hex(id, 4));
export const pubrec = (id: number): Buffer => packet("50", hex(id, 4));
export const pubrel = (id: number): Buffer => packet("62", hex(id, 4));
export const pubcomp = (id: number): Buffer => packet("70", hex(id, 4));

export function subscribe(id: number, filters: readonly (readonly [string, Qos])[]): Buffer {
  const rest = filters.flatMap(([filter, qos]) => [field(filter), Buffer.of(qos)]);
  return packet("82", hex(id, 4), Buffer.concat(rest));
}

export function suback(id: number, codes: readonly (Qos | 0x80)[]): Buffer {
  return packet("90", hex(id, 4), Buffer.from(codes));
}

export function unsubscribe(id: number, filters: readonly string[]): Buffer {
  return packet("a2", hex(id, 4), Buffer.concat(filters.map((filter) => field(filter))));
}

export const unsuback = (id: number): Buffer => packet("b0", hex(id, 4));

export const PINGREQ = packet("c0");
export const PINGRESP = packet("d0");
export const DISCONNECT = packet("e0");
