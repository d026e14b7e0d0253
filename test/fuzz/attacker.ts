import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { parser, type Packet } from "mqtt-packet";
import { puback, pubcomp, pubrec } from "../conformance/wire.ts";

const KINDS_OF_SERVER = new Set<string>([
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "suback",
  "unsuback",
  "pingresp",
]);

export type AttackerOptions = {
  readonly port: number;
  /** Topics that this client may be sent. */
  readonly mayGet: RegExp;
  /** Answers what it is sent, as a client should. */
  readonly acknowledges: boolean;
};

/** One TCP connection to the broker that sends anything, and checks what it gets. */
export class Attacker {
  readonly #socket: Socket;
  readonly #options: AttackerOptions;
  readonly #parser = parser({ protocolVersion: 4 });
  /** What came, by kind: `kind id`, in order. */
  readonly #received: string[] = [];
  readonly #wrongs: string[] = [];
  /** Answers that wait until no packet is half sent. */
  readonly #owed: Buffer[] = [];
  #isBetweenPackets = false;
  #connackCode: number | undefined;
  #isClosed = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket, options: AttackerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#parser.on("packet", (packet: Packet) => this.#check(packet));
    this.#parser.on("error", (error: Error) => this.#wrongs.push(`not MQTT: ${error.message}`));
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#parser.parse(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake?.();
    });
  }

  static async open(options: AttackerOptions): Promise<Attacker> {
    const socket = dial(options.port, "127.0.0.1");
    await once(socket, "connect");
    return new Attacker(socket, options);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get connackCode(): number | undefined {
    return this.#connackCode;
  }

  /** What the gateway sent that it must not send. */
  get wrongs(): readonly string[] {
    return this.#wrongs;
  }

  get received(): readonly string[] {
    return this.#received;
  }

  write(bytes: Buffer): void {
    if (!this.#isClosed) this.#socket.write(bytes);
  }

  /** Everything it was given is written: from now on it answers at once. */
  finish(): void {
    this.#isBetweenPackets = true;
    this.write(Buffer.concat(this.#owed));
  }

  /** Reads no more: what it is sent piles up. */
  freeze(): void {
    this.#socket.pause();
  }

  /** Resolves once `isDone` or the connection has ended; false after the deadline. */
  async until(isDone: () => boolean, deadlineMs: number): Promise<boolean> {
    const end = performance.now() + deadlineMs;
    while (!isDone() && !this.#isClosed) {
      const leftMs = end - performance.now();
      if (leftMs <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    if (!this.#isClosed) await once(this.#socket, "close");
  }

  #check(packet: Packet): void {
    const id = "messageId" in packet ? ` ${packet.messageId ?? 0}` : "";
    const isFirst = this.#connackCode === undefined;
    if (isFirst !== (packet.cmd === "connack")) this.#wrongs.push(`${packet.cmd} is out of place`);
    if (packet.cmd === "connack") this.#connackCode = packet.returnCode ?? -1;
    else if (this.#connackCode !== 0) this.#wrongs.push(`${packet.cmd} after a refusal`);
    if (!KINDS_OF_SERVER.has(packet.cmd)) this.#wrongs.push(`a server sent ${packet.cmd}`);
    if (packet.cmd === "publish" && !this.#options.mayGet.test(packet.topic)) {
      this.#wrongs.push(`was sent ${packet.topic}, which it may not read`);
    }
    this.#received.push(`${packet.cmd}${id}`);
    if (this.#options.acknowledges) this.#answer(packet);
    this.#wake?.();
  }

  #answer(packet: Packet): void {
    const id = packet.messageId ?? 0;
    if (packet.cmd === "publish" && packet.qos === 1) this.#owe(puback(id));
    if (packet.cmd === "publish" && packet.qos === 2) this.#owe(pubrec(id));
    if (packet.cmd === "pubrel") this.#owe(pubcomp(id));
  }

  #owe(answer: Buffer): void {
    if (this.#isBetweenPackets) this.write(answer);
    else this.#owed.push(answer);
  }
}
