import { isUtf8 } from "node:buffer";
import { parser, type Packet, type Parser } from "mqtt-packet";

/** What a broker sends. */
export type Incoming =
  | { readonly kind: "packet"; readonly packet: Packet }
  /** The commonest: a PUBACK without properties. */
  | { readonly kind: "puback"; readonly packetId: number; readonly reasonCode: number }
  /** A PUBLISH larger than we take: skipped, so that it can be acknowledged and does not come for ever. */
  | {
      readonly kind: "oversize";
      readonly topic: string;
      readonly qos: number;
      readonly packetId: number;
      readonly bytes: number;
    }
  /** Not MQTT as the standard has it; nothing is read after it. */
  | { readonly kind: "fault"; readonly detail: string };

/**
 * Cuts a broker's bytes into packets and checks each against the standard: `mqtt-packet` reads them,
 * this sees to what it lets pass. Holds at most one packet of `packetBytesMax`. Never throws on what
 * came.
 */
export class PacketReader {
  readonly #protocol: 4 | 5;
  readonly #packetBytesMax: number;
  readonly #parser: Parser;
  /** What the parser made of the last frame: one packet, or an error. */
  #parsed: (Packet | Error)[] = [];
  /** Pieces of a packet that is not whole yet. */
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  /** Bytes the packet needs; fewer than held: not known yet. */
  #needed = 0;
  #skipBytes = 0;
  #hasEnded = false;

  constructor(protocol: 4 | 5, packetBytesMax: number) {
    this.#protocol = protocol;
    this.#packetBytesMax = packetBytesMax;
    this.#parser = parser({ protocolVersion: protocol });
    this.#parser.on("packet", (packet) => this.#parsed.push(packet));
    this.#parser.on("error", (error: unknown) => this.#parsed.push(errorOf(error)));
  }

  /** Calls back for each whole packet, in order; not after it has called `end` or a fault. */
  read(chunk: Buffer, take: (incoming: Incoming) => void): void {
    if (this.#hasEnded) return;
    const skipped = Math.min(this.#skipBytes, chunk.length);
    this.#skipBytes -= skipped;
    let bytes = skipped === 0 ? chunk : chunk.subarray(skipped);
    if (this.#heldBytes > 0) {
      this.#pieces.push(bytes);
      this.#heldBytes += bytes.length;
      if (this.#heldBytes < this.#needed) return;
      bytes = Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#heldBytes = 0;
    }
    this.#cut(bytes, take);
  }

  /** Nothing more is read. */
  end(): void {
    this.#hasEnded = true;
    this.#pieces = [];
    this.#heldBytes = 0;
  }

  #cut(bytes: Buffer, take: (incoming: Incoming) => void): void {
    let at = 0;
    while (at < bytes.length && !this.#ended()) {
      const fixed = measure(bytes, at);
      if (fixed === "too-long") {
        this.#fail("a length of more than four bytes", take);
        return;
      }
      const size = fixed === undefined ? bytes.length - at + 1 : fixed.headerBytes + fixed.length;
      if (fixed !== undefined && size > this.#packetBytesMax) {
        const needed = this.#oversize(bytes, at, fixed, take);
        if (needed === undefined) return;
        if (typeof needed === "number") {
          this.#hold(bytes, at, needed);
          return;
        }
        at += needed.skipped;
      } else if (fixed === undefined || at + size > bytes.length) {
        this.#hold(bytes, at, size);
        return;
      } else {
        const incoming = this.#decode(bytes.subarray(at, at + size), fixed.headerBytes);
        if (incoming.kind === "fault") this.end();
        take(incoming);
        at += size;
      }
    }
  }

  #ended(): boolean {
    return this.#hasEnded;
  }

  #hold(bytes: Buffer, at: number, needed: number): void {
    // A copy: the rest of a large chunk is not kept for the sake of its end.
    this.#pieces = [Buffer.from(bytes.subarray(at))];
    this.#heldBytes = bytes.length - at;
    this.#needed = needed;
  }

  #fail(detail: string, take: (incoming: Incoming) => void): void {
    this.end();
    take({ kind: "fault", detail });
  }

  /** Bytes needed to know what it is, or how many of those here belong to it. */
  #oversize(
    bytes: Buffer,
    at: number,
    fixed: FixedHeader,
    take: (incoming: Incoming) => void,
  ): number | { readonly skipped: number } | undefined {
    const { headerBytes, length } = fixed;
    const first = bytes[at] ?? 0;
    // In MQTT 5 we said what we take [MQTT-3.1.2-24].
    if (first >> 4 !== TYPE.publish || this.#protocol === 5) {
      this.#fail(`a packet of ${length} bytes`, take);
      return undefined;
    }
    const topicAt = at + headerBytes + 2;
    const qos = (first >> 1) & 3;
    if (topicAt > bytes.length) return headerBytes + 2;
    const topicEnd = topicAt + bytes.readUInt16BE(topicAt - 2);
    const end = topicEnd + (qos === 0 ? 0 : 2);
    if (end - at > headerBytes + length || qos === 3) {
      this.#fail("a PUBLISH that is longer than it says", take);
      return undefined;
    }
    if (end > bytes.length) return end - at;
    const packetId = qos === 0 ? 0 : bytes.readUInt16BE(topicEnd);
    const topic = bytes.toString("utf8", topicAt, topicEnd);
    const total = headerBytes + length;
    const skipped = Math.min(total, bytes.length - at);
    this.#skipBytes = total - skipped;
    take({ kind: "oversize", topic, qos, packetId, bytes: total });
    return { skipped };
  }

  #decode(frame: Buffer, headerBytes: number): Incoming {
    const type = (frame[0] ?? 0) >> 4;
    const puback = plainPuback(frame, this.#protocol);
    if (puback !== undefined) return puback;
    const wrong = this.#faultOf(frame, type, headerBytes);
    if (wrong !== undefined) return { kind: "fault", detail: wrong };
    const packet = this.#parse(frame);
    if (packet instanceof Error) return { kind: "fault", detail: packet.message };
    const detail = faultOfParsed(packet);
    if (detail !== undefined) return { kind: "fault", detail };
    return { kind: "packet", packet };
  }

  #parse(frame: Buffer): Packet | Error {
    this.#parsed = [];
    try {
      this.#parser.parse(frame);
    } catch (error) {
      return errorOf(error);
    }
    return this.#parsed.at(-1) ?? new Error("a packet that is cut short");
  }

  /** What can be seen before it is parsed. */
  #faultOf(frame: Buffer, type: number, headerBytes: number): string | undefined {
    const name = FROM_BROKER[type];
    if (name === undefined || (name === "DISCONNECT" && this.#protocol === 4)) {
      return `a packet of type ${type}, which a broker does not send`;
    }
    const exact = this.#protocol === 4 ? LENGTHS_4[type] : LENGTHS_5[type];
    if (exact !== undefined && frame.length - headerBytes !== exact)
      return `${name} of wrong length`;
    return type === TYPE.publish ? faultOfPublish(frame, headerBytes) : undefined;
  }
}

/** A PUBACK without properties, which comes for each message there is. */
function plainPuback(frame: Buffer, protocol: 4 | 5): Incoming | undefined {
  if (frame[0] !== 0x40 || frame.length > 6) return undefined;
  const packetId = frame.length < 4 ? 0 : frame.readUInt16BE(2);
  if (packetId === 0) return undefined;
  if (frame.length === 4) return { kind: "puback", packetId, reasonCode: 0 };
  if (protocol === 4) return undefined;
  // MQTT 5 §3.4.2: a reason code, and perhaps that there are no properties.
  const reasonCode = frame[4] ?? 0;
  const isKnown = reasonCode === 0 || reasonCode === NO_MATCHING_SUBSCRIBERS;
  if (!isKnown || (frame[5] ?? 0) !== 0) return undefined;
  return { kind: "puback", packetId, reasonCode };
}

const NO_MATCHING_SUBSCRIBERS = 0x10;

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

const TYPE = { publish: 3 } as const;

const FROM_BROKER: Readonly<Record<number, string>> = {
  2: "CONNACK",
  3: "PUBLISH",
  4: "PUBACK",
  5: "PUBREC",
  6: "PUBREL",
  7: "PUBCOMP",
  9: "SUBACK",
  11: "UNSUBACK",
  13: "PINGRESP",
  14: "DISCONNECT",
};

/** Of what follows the fixed header, where the standard leaves no choice. */
const LENGTHS_4: Readonly<Record<number, number>> = { 2: 2, 4: 2, 5: 2, 6: 2, 7: 2, 11: 2, 13: 0 };
const LENGTHS_5: Readonly<Record<number, number>> = { 13: 0 };

type FixedHeader = { readonly headerBytes: number; readonly length: number };

/** `undefined`: more bytes are needed. */
function measure(bytes: Buffer, at: number): FixedHeader | "too-long" | undefined {
  let length = 0;
  for (let nth = 1; nth <= 4; nth += 1) {
    const byte = bytes[at + nth];
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << (7 * (nth - 1));
    if (byte < 0x80) return { headerBytes: nth + 1, length };
  }
  return "too-long";
}

const WILDCARD_OR_NUL = /[#+\0]/;

function faultOfPublish(frame: Buffer, headerBytes: number): string | undefined {
  const first = frame[0] ?? 0;
  // [MQTT-3.3.1-2]
  if ((first & 0x06) === 0 && (first & 0x08) !== 0) return "DUP on a PUBLISH of QoS 0";
  if (frame.length < headerBytes + 2) return "a PUBLISH without a topic";
  const from = headerBytes + 2;
  const topic = frame.subarray(from, from + frame.readUInt16BE(headerBytes));
  // No topic, and a topic alias in its place: we allowed none [MQTT-3.3.2-9].
  if (topic.length === 0) return "a PUBLISH without a topic";
  if (!isUtf8(topic)) return "a topic that is not UTF-8"; // [MQTT-1.5.3-1]
  // [MQTT-3.3.2-2]
  return WILDCARD_OR_NUL.test(topic.toString()) ? "a topic name with a wildcard or NUL" : undefined;
}

/** Properties that may come several times; any other that does is a protocol error, MQTT 5 §2.2.2.2. */
const REPEATABLE: ReadonlySet<string> = new Set(["userProperties", "subscriptionIdentifier"]);

function faultOfParsed(packet: Packet): string | undefined {
  const needsId = packet.cmd !== "publish" ? HAS_ID.has(packet.cmd) : packet.qos > 0;
  // [MQTT-2.3.1-1]; `mqtt-packet` gives -1 for one that is cut off.
  if (needsId && !((packet.messageId ?? 0) > 0)) return `${packet.cmd} without a packet id`;
  if (packet.cmd === "publish" && packet.properties?.topicAlias !== undefined) {
    return "a topic alias, which was not allowed";
  }
  const properties = "properties" in packet ? (packet.properties ?? {}) : {};
  for (const [name, value] of Object.entries<unknown>(properties)) {
    if (REPEATABLE.has(name)) continue;
    if (value === null || value === undefined || value === -1 || Array.isArray(value)) {
      return `property ${name} of ${packet.cmd} is cut off or comes twice`;
    }
  }
  return undefined;
}

const HAS_ID: ReadonlySet<string> = new Set([
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "suback",
  "unsuback",
]);
