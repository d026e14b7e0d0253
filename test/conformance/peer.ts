import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { hex, publish, suback, subscribe } from "./wire.ts";

/** How long a packet that is due may take: far more than it does on a busy machine. */
const DEADLINE_MS = 10_000;

/** A PUBLISH as it came. */
export type Received = {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly dup: boolean;
  readonly retain: boolean;
  /** 0 for QoS 0. */
  readonly id: number;
};

/** One raw TCP connection: it sends the bytes it is told to and answers nothing by itself. */
export class Peer {
  readonly #socket: Socket;
  readonly #packets: Buffer[] = [];
  #held: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #wake: (() => void) | undefined;
  #fences = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#take(chunk));
    // A reset is one way to close a connection.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake?.();
    });
  }

  static async open(port: number): Promise<Peer> {
    const socket = dial(port, "127.0.0.1");
    await once(socket, "connect");
    return new Peer(socket);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** In one piece. */
  send(...packets: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(packets));
  }

  /** The next packet, whole; `undefined` when the gateway has closed the connection. */
  async next(what = "a packet"): Promise<Buffer | undefined> {
    if (this.#packets.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`));
        }, DEADLINE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          this.#wake = undefined;
          resolve();
        };
      });
    }
    return this.#packets.shift();
  }

  /** These packets come next, to the byte. */
  async expect(...packets: readonly Buffer[]): Promise<void> {
    for (const expected of packets) {
      const text = expected.toString("hex");
      const packet = await this.next(text);
      assert.equal(packet?.toString("hex") ?? "closed", text);
    }
  }

  /** The next packet is a PUBLISH. */
  async receive(): Promise<Received> {
    const packet = await this.next("a PUBLISH");
    assert.ok(packet !== undefined, "the connection was closed before a PUBLISH came");
    return readPublish(packet);
  }

  /** The gateway closes the connection and says nothing before. */
  async expectClosed(): Promise<void> {
    const packet = await this.next("the end of the connection");
    assert.equal(packet?.toString("hex"), undefined, "the connection is closed without a word");
  }

  /**
   * Nothing has been sent to this client that it has not been shown: what it publishes to itself
   * overtakes nothing.
   */
  async expectNothing(): Promise<void> {
    this.#fences += 1;
    const topic = `fence/${this.#fences}/${hex(this.#socket.localPort ?? 0, 4)}`;
    this.send(subscribe(0xfffe, [[topic, 0]]), publish(topic, "fence"));
    await this.expect(suback(0xfffe, [0]), publish(topic, "fence"));
  }

  /** As a client that dies: without DISCONNECT. Resolves when the connection is gone. */
  async cut(): Promise<void> {
    this.#socket.destroy();
    await this.closed();
  }

  /** Resolves when the connection is gone, whatever came before. */
  async closed(): Promise<void> {
    if (!this.#isClosed) await once(this.#socket, "close");
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    for (;;) {
      const end = packetEnd(this.#held);
      if (end === undefined) break;
      this.#packets.push(this.#held.subarray(0, end));
      this.#held = this.#held.subarray(end);
    }
    if (this.#packets.length > 0) this.#wake?.();
  }
}

/** Where the first packet ends, §2.2.3; `undefined` while it has not all come. */
function packetEnd(bytes: Buffer): number | undefined {
  let remaining = 0;
  for (let at = 1; at < bytes.length && at <= 4; at += 1) {
    const byte = bytes.readUInt8(at);
    remaining += (byte & 0x7f) << (7 * (at - 1));
    if (byte >= 0x80) continue;
    const end = at + 1 + remaining;
    return end <= bytes.length ? end : undefined;
  }
  return undefined;
}

function readPublish(packet: Buffer): Received {
  const first = packet.readUInt8(0);
  assert.equal(first >> 4, 3, `${packet.toString("hex")} is a PUBLISH`);
  let at = 1;
  while (packet.readUInt8(at) >= 0x80) at += 1;
  at += 1;
  const topicEnd = at + 2 + packet.readUInt16BE(at);
  const qos = (first >> 1) & 3;
  return {
    topic: packet.toString("utf8", at + 2, topicEnd),
    payload: packet.toString("utf8", qos === 0 ? topicEnd : topicEnd + 2),
    qos,
    dup: (first & 8) !== 0,
    retain: (first & 1) !== 0,
    id: qos === 0 ? 0 : packet.readUInt16BE(topicEnd),
  };
}
