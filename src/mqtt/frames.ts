import { FIXED_LIMITS } from "../limits.ts";
import { decodeConnect } from "./connect-frame.ts";
import { fault, type FaultFrame, type Frame, type OtherFrame } from "./frame-kinds.ts";
import type { OversizePublishFrame, ProtocolLevel, PublishFrame } from "./frame-kinds.ts";
import { plainTopicLevels, qosOf, readTopicName, uint16At } from "./frame-fields.ts";
import { decodeSubscribe, decodeUnsubscribe } from "./subscribe-frame.ts";
import { topicLevels } from "../thing/topics.ts";

/**
 * Cuts one connection's bytes into MQTT 3.1 and 3.1.1 control packets and checks each against the
 * standard. Pulled: `push` a chunk, then call `next` until it is undefined; between two calls the
 * caller may pause for as long as it likes. Nothing is yielded after a fault or a DISCONNECT
 * [MQTT-3.14.4-2]. Never throws, whatever the bytes.
 *
 * A PUBLISH larger than `packetBytesMax` (whole packet, fixed header included) is let through to its
 * end without being held; any other packet that large is a fault as soon as its length is known.
 */
export class FrameReader {
  readonly #packetBytesMax: number;
  /** What was pushed last; read up to `#at`. */
  #chunk: Buffer = NOTHING;
  #at = 0;
  /** The first `#held` bytes of a packet that is not complete yet; the rest is room. */
  #partial: Buffer = NOTHING;
  #held = 0;
  /** The large PUBLISH whose payload is being skipped, and how much of it is to come. */
  #oversize: OversizePublishFrame | undefined;
  #skipBytes = 0;
  /** Of the PUBLISH before: a client publishes to few topics, often to one. */
  #topicBytes: Buffer = NOTHING;
  #topic = "";
  #levels = 0;
  /** Set by the CONNECT packet. */
  #protocolLevel: ProtocolLevel | undefined;
  #ended = false;
  /** Of the packet last measured: bytes of its fixed header, and of all of it. */
  #headerBytes = 0;
  #packetBytes = 0;

  constructor(options: { readonly packetBytesMax: number }) {
    this.#packetBytesMax = options.packetBytesMax;
  }

  /** Bytes of memory held for a packet that is not complete yet: never above `packetBytesMax`. */
  get bufferedBytes(): number {
    return this.#partial.length;
  }

  /** Takes more bytes. They must not change until the frames read from them are done with. */
  push(chunk: Buffer): void {
    if (this.#ended) return;
    // Invariant: a caller that drains `next` before it pushes copies nothing here.
    const drained = this.#at === this.#chunk.length;
    this.#chunk = drained ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** The next frame, or undefined when more bytes are needed. */
  next(): Frame | undefined {
    if (this.#ended) return undefined;
    if (this.#oversize !== undefined) return this.#skip(this.#oversize);
    if (this.#held > 0) return this.#completeHeld();
    const available = this.#chunk.length - this.#at;
    if (available === 0) return this.#awaitBytes();
    const needed = this.#measure(this.#chunk, this.#at, this.#chunk.length);
    if (typeof needed !== "number") return this.#end(needed);
    if (needed > available) {
      this.#hold(available, needed);
      return this.#awaitBytes();
    }
    const start = this.#at;
    this.#at += needed;
    return this.#decode(this.#chunk, start, needed);
  }

  /** Joins what is held with what came, a few bytes or the whole packet at a time. */
  #completeHeld(): Frame | undefined {
    for (;;) {
      const needed = this.#measure(this.#partial, 0, this.#held);
      if (typeof needed !== "number") return this.#end(needed);
      if (needed === this.#held) {
        const packet = this.#partial;
        this.#partial = NOTHING;
        this.#held = 0;
        return this.#decode(packet, 0, needed);
      }
      const available = this.#chunk.length - this.#at;
      if (available === 0) return this.#awaitBytes();
      this.#hold(Math.min(available, needed - this.#held), needed);
    }
  }

  /** Moves bytes into `#partial`. Its room doubles towards `needed`: what a header claims costs nothing. */
  #hold(count: number, needed: number): void {
    const held = this.#held + count;
    if (held > this.#partial.length) {
      const grown = Buffer.allocUnsafe(Math.min(needed, held * 2));
      this.#partial.copy(grown, 0, 0, this.#held);
      this.#partial = grown;
    }
    this.#chunk.copy(this.#partial, this.#held, this.#at, this.#at + count);
    this.#at += count;
    this.#held = held;
  }

  #skip(frame: OversizePublishFrame): Frame | undefined {
    const skipped = Math.min(this.#chunk.length - this.#at, this.#skipBytes);
    this.#at += skipped;
    this.#skipBytes -= skipped;
    if (this.#skipBytes > 0) return this.#awaitBytes();
    this.#oversize = undefined;
    return frame;
  }

  /** Lets go of a chunk that is read, so that an idle connection keeps none. */
  #awaitBytes(): Frame | undefined {
    this.#chunk = NOTHING;
    this.#at = 0;
    return undefined;
  }

  #end<Last extends Frame>(frame: Last): Last {
    this.#ended = true;
    this.#chunk = NOTHING;
    this.#partial = NOTHING;
    return frame;
  }

  /**
   * How many bytes from `start` the packet there needs to be decoded, or one more than there are
   * while its length is not known. Faults that the fixed header shows are found here, before
   * anything is held for its sake.
   */
  #measure(bytes: Buffer, start: number, end: number): number | FaultFrame {
    const first = bytes[start] ?? 0;
    const ofFirst = this.#firstByteFault(first);
    if (ofFirst !== undefined) return ofFirst;
    let remaining = 0;
    let at = start + 1;
    for (let shift = 0; ; shift += 7) {
      if (shift === 28) return fault("length", "MQTT-4.8.0-1"); // MQTT 3.1.1 §2.2.3: four bytes.
      if (at >= end) return end - start + 1;
      const byte = bytes[at++] ?? 0;
      remaining |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const fixed = FIXED_REMAINING[first >> 4] ?? ANY;
    if (fixed !== ANY && remaining !== fixed) return fault("length", "MQTT-4.8.0-1");
    this.#headerBytes = at - start;
    this.#packetBytes = this.#headerBytes + remaining;
    if (this.#packetBytes <= this.#packetBytesMax) return this.#packetBytes;
    if (first >> 4 !== PUBLISH) return fault("too-large", "MQTT-4.8.0-1");
    return this.#measureOversize(bytes, start, end);
  }

  /** Of a PUBLISH too large to hold, what comes before the payload is needed. */
  #measureOversize(bytes: Buffer, start: number, end: number): number | FaultFrame {
    const topicAt = this.#headerBytes + 2;
    if (end - start < topicAt) return topicAt;
    const idBytes = ((bytes[start] ?? 0) & QOS_BITS) === 0 ? 0 : 2;
    const needed = topicAt + uint16At(bytes, start + this.#headerBytes) + idBytes;
    if (needed > this.#packetBytes) return fault("length", "MQTT-4.8.0-1");
    return needed > this.#packetBytesMax ? fault("too-large", "MQTT-4.8.0-1") : needed;
  }

  #firstByteFault(first: number): FaultFrame | undefined {
    const type = first >> 4;
    if (this.#protocolLevel === undefined) {
      if (first === TLS_HANDSHAKE) return fault("tls-hello", "MQTT-3.1.0-1");
      if (type !== CONNECT) return fault("connect-missing", "MQTT-3.1.0-1");
    } else if (type === CONNECT) return fault("connect-repeated", "MQTT-3.1.0-2");
    if (type === PUBLISH) return publishFlagsFault(first);
    const expected = HEADER_FLAGS[type] ?? NOT_FROM_CLIENT;
    if (expected === NOT_FROM_CLIENT) return fault("packet-type", "MQTT-4.8.0-1");
    const flags = first & 0x0f;
    if (flags === expected) return undefined;
    // MQTT 3.1 §2.1 sets DUP on whatever is sent again at QoS 1; 3.1.1 made the bit reserved.
    if (this.#protocolLevel === 3 && expected === 2 && flags === (2 | DUP_BIT)) return undefined;
    return fault("header-flags", "MQTT-2.2.2-2");
  }

  /** Reads the packet measured last; `count` bytes of it are there. */
  #decode(bytes: Buffer, start: number, count: number): Frame | undefined {
    const frame = this.#decodeKind(bytes, start, count);
    if (frame.kind === "publish") return frame;
    if (frame.kind === "oversize-publish") {
      this.#oversize = frame;
      this.#skipBytes = frame.payloadBytes;
      return this.#skip(frame);
    }
    if (frame.kind === "connect") this.#protocolLevel = frame.protocolLevel;
    const isLast =
      frame.kind === "fault" || (frame.kind === "other" && frame.type === "disconnect");
    return isLast ? this.#end(frame) : frame;
  }

  #decodeKind(bytes: Buffer, start: number, count: number): Frame {
    const first = bytes[start] ?? 0;
    const type = first >> 4;
    if (type === PUBLISH) return this.#decodePublish(bytes, start, count);
    const packet = bytes.subarray(start, start + count);
    if (type === CONNECT) return decodeConnect(packet, this.#headerBytes);
    if (type === SUBSCRIBE) return decodeSubscribe(withoutDup(packet), this.#headerBytes);
    if (type === UNSUBSCRIBE) return decodeUnsubscribe(withoutDup(packet), this.#headerBytes);
    const isEmpty = type === PINGREQ || type === DISCONNECT;
    const packetId = isEmpty ? 0 : uint16At(packet, this.#headerBytes);
    if (packetId === 0 && !isEmpty) return fault("packet-id", "MQTT-2.3.1-1");
    if (type === PUBREL) return { kind: "pubrel", packetId };
    return { kind: "other", type: otherType(type), bytes: packet, packetId };
  }

  /** Reads a topic name into `#topic` and `#levels`. */
  #readTopic(bytes: Buffer, start: number, end: number): FaultFrame | undefined {
    if (this.#isSameTopic(bytes, start, end)) return undefined;
    const levels = plainTopicLevels(bytes, start, end);
    if (levels > 0) {
      this.#topic = bytes.toString("latin1", start, end);
      this.#levels = levels;
    } else {
      const name = readTopicName(bytes.subarray(start, end));
      if (typeof name !== "string") return name;
      this.#topic = name;
      this.#levels = topicLevels(name);
    }
    const isKept = end - start <= KEPT_TOPIC_BYTES_MAX;
    this.#topicBytes = isKept ? Buffer.from(bytes.subarray(start, end)) : NOTHING;
    return undefined;
  }

  #isSameTopic(bytes: Buffer, start: number, end: number): boolean {
    const before = this.#topicBytes;
    const { length } = before;
    if (length === 0 || length !== end - start) return false;
    // From the end: topics of one device differ there.
    for (let at = length - 1; at >= 0; at--) if (before[at] !== bytes[start + at]) return false;
    return true;
  }

  #decodePublish(
    bytes: Buffer,
    start: number,
    count: number,
  ): PublishFrame | OversizePublishFrame | FaultFrame {
    const first = bytes[start] ?? 0;
    const qos = qosOf((first & QOS_BITS) >> 1) ?? 0;
    const end = start + count;
    const topicStart = start + this.#headerBytes + 2;
    if (topicStart > end) return fault("length", "MQTT-3.3.2-1");
    const topicEnd = topicStart + uint16At(bytes, topicStart - 2);
    const payloadStart = qos === 0 ? topicEnd : topicEnd + 2;
    if (payloadStart > end) return fault("length", "MQTT-4.8.0-1");

    const wrong = this.#readTopic(bytes, topicStart, topicEnd);
    if (wrong !== undefined) return wrong;
    const topic = this.#topic;
    const levels = this.#levels;
    const packetId = qos === 0 ? 0 : uint16At(bytes, topicEnd);
    if (packetId === 0 && qos !== 0) return fault("packet-id", "MQTT-2.3.1-1");

    const retain = (first & RETAIN_BIT) !== 0;
    const payloadBytes = this.#packetBytes - count;
    if (payloadBytes > 0) {
      return { kind: "oversize-publish", topic, levels, qos, retain, packetId, payloadBytes };
    }
    const payload = bytes.subarray(payloadStart, end);
    const dup = (first & DUP_BIT) !== 0;
    return { kind: "publish", topic, levels, payload, qos, retain, dup, packetId };
  }
}

const NOTHING = Buffer.alloc(0);

const KEPT_TOPIC_BYTES_MAX = FIXED_LIMITS.keptTopicBytesMax;

/** The first byte of a ClientHello, RFC 8446 §5.1; of MQTT it would be a CONNECT with flags. */
const TLS_HANDSHAKE = 0x16;

/** Packet types, MQTT 3.1.1 §2.2.1. */
const CONNECT = 1;
const PUBLISH = 3;
const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;
const SUBSCRIBE = 8;
const UNSUBSCRIBE = 10;
const PINGREQ = 12;
const DISCONNECT = 14;

const DUP_BIT = 0x08;
const QOS_BITS = 0x06;
const RETAIN_BIT = 0x01;

/** By packet type, the flags of the fixed header (§2.2.2). PUBLISH has flags of its own. */
const NOT_FROM_CLIENT = -1;
const HEADER_FLAGS: readonly number[] = [-1, 0, -1, 0, 0, 0, 2, 0, 2, -1, 2, -1, 0, -1, 0, -1];

/** By packet type, the remaining length of those that have but one. */
const ANY = -1;
const FIXED_REMAINING: readonly number[] = [-1, -1, -1, -1, 2, 2, 2, 2, -1, -1, -1, -1, 0, -1, 0];

function publishFlagsFault(first: number): FaultFrame | undefined {
  const qosBits = first & QOS_BITS;
  if (qosBits === QOS_BITS) return fault("qos", "MQTT-3.3.1-4");
  if (qosBits === 0 && (first & DUP_BIT) !== 0) return fault("header-flags", "MQTT-3.3.1-2");
  return undefined;
}

/** DUP is cleared for readers that know 3.1.1 only; the caller's bytes stay as they are. */
function withoutDup(packet: Buffer): Buffer {
  const first = packet[0] ?? 0;
  if ((first & DUP_BIT) === 0) return packet;
  const copy = Buffer.from(packet);
  copy[0] = first & ~DUP_BIT;
  return copy;
}

/** The caller has left only these types over. */
function otherType(type: number): OtherFrame["type"] {
  switch (type) {
    case PUBACK:
      return "puback";
    case PUBREC:
      return "pubrec";
    case PUBCOMP:
      return "pubcomp";
    case PINGREQ:
      return "pingreq";
    default:
      return "disconnect";
  }
}
