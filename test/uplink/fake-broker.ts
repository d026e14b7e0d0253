import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { generate, parser, type Packet } from "mqtt-packet";
import type { Test } from "tap";
import { within } from "../wire/within.ts";

/** A broker's end of a connection, which says exactly what a test has it say. */
export class Peer {
  readonly #socket: Socket;
  readonly #protocol: 4 | 5;
  readonly #came: Packet[] = [];
  readonly #waiting: ((packet: Packet) => void)[] = [];
  readonly ended: Promise<unknown>;
  #onPacket: ((packet: Packet) => void) | undefined;
  #hasEnded = false;

  constructor(socket: Socket, protocol: 4 | 5) {
    this.#socket = socket;
    this.#protocol = protocol;
    const read = parser({ protocolVersion: protocol });
    read.on("packet", (packet) => {
      if (this.#onPacket !== undefined) {
        this.#onPacket(packet);
        return;
      }
      const taker = this.#waiting.shift();
      if (taker === undefined) this.#came.push(packet);
      else taker(packet);
    });
    socket.on("data", (bytes) => read.parse(bytes));
    socket.on("error", () => undefined);
    // A reset is an end, too: `once` would reject.
    this.ended = new Promise<void>((resolve) => {
      socket.once("close", () => {
        this.#hasEnded = true;
        resolve();
      });
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Takes every packet from now on, and those that have come. */
  onPacket(take: (packet: Packet) => void): void {
    this.#onPacket = take;
    for (const packet of this.#came.splice(0)) take(packet);
  }

  /** The next packet, which must be of this kind. */
  async next<Cmd extends Packet["cmd"]>(cmd: Cmd): Promise<Extract<Packet, { cmd: Cmd }>> {
    const came = this.#came.shift();
    const packet =
      came ??
      (await within(`a packet ${cmd}`, new Promise<Packet>((give) => this.#waiting.push(give))));
    if (packet.cmd !== cmd) throw new Error(`expected ${cmd}, got ${packet.cmd}`);
    return packet as Extract<Packet, { cmd: Cmd }>;
  }

  /** What has come and was not asked for. */
  get unread(): readonly Packet[] {
    return this.#came;
  }

  send(...packets: readonly (Packet | Buffer)[]): void {
    const bytes = packets.map((packet) =>
      Buffer.isBuffer(packet) ? packet : generate(packet, { protocolVersion: this.#protocol }),
    );
    // After `close` it says nothing, whatever still comes.
    if (this.#socket.writable) this.#socket.write(Buffer.concat(bytes));
  }

  /** Takes the CONNECT as every broker would. */
  async connack(properties: object = {}): Promise<Extract<Packet, { cmd: "connect" }>> {
    const connect = await this.next("connect");
    const code = this.#protocol === 4 ? { returnCode: 0 } : { reasonCode: 0, properties };
    this.send({ cmd: "connack", sessionPresent: false, ...code });
    return connect;
  }

  close(): void {
    this.#socket.end();
  }
}

export type FakeBroker = {
  readonly url: string;
  /** The next connection. */
  readonly peer: () => Promise<Peer>;
  /** Connections that nobody asked for yet. */
  readonly waiting: number;
};

export async function startFakeBroker(t: Test, protocol: 4 | 5): Promise<FakeBroker> {
  const came: Peer[] = [];
  const waiting: ((peer: Peer) => void)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const peer = new Peer(socket, protocol);
    const taker = waiting.shift();
    if (taker === undefined) came.push(peer);
    else taker(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    get waiting() {
      return came.length;
    },
    peer: async () =>
      came.shift() ?? within("a connection", new Promise<Peer>((resolve) => waiting.push(resolve))),
  };
}
