import type { Duplex } from "node:stream";
import { generate, type ISubackPacket, type IUnsubackPacket, type Packet } from "mqtt-packet";
import { FIXED_LIMITS } from "../limits.ts";
import { connectPacket, grantedBy, type Granted, type LineSettings } from "./line-connect.ts";
import { LineFailure, lineFailureOf, MessageFailure } from "./line-failure.ts";
import { Flight, type Settled } from "./line-flight.ts";
import { PacketReader, type Incoming } from "./line-frames.ts";
import { Inbound } from "./line-inbound.ts";
import type { Line, LineDeps, LineEvents, SendOptions, Subscription } from "./line.ts";
import { encodePublish, TEXT_BYTES_MAX } from "./line-publish-frame.ts";
import { disconnectFailure, reasonWords } from "./line-reasons.ts";
import { LineWatch } from "./line-watch.ts";
import type { UpMessage } from "./message.ts";

/** The broker has the first of a window in hand while the last are made; a write costs a system call. */
const FRAMES_AT_ONCE = 25;

/** MQTT on a stream that is open: from CONNECT to the end. */
export class Connection implements Line {
  readonly #stream: Duplex;
  readonly #settings: LineSettings;
  readonly #events: LineEvents;
  readonly #deps: LineDeps;
  readonly #at: string;
  readonly #reader: PacketReader;
  readonly #flight = new Flight();
  readonly #inbound: Inbound;
  readonly #watch: LineWatch;
  #granted: Granted | undefined;
  #onGranted: (failure?: LineFailure) => void = () => undefined;
  #failure: LineFailure | undefined;
  /** Who wants to know the codes of a SUBACK, by packet id. */
  readonly #onCodes = new Map<number, (codes: readonly number[]) => void>();
  /** Written together: at the end of the turn, or when there are enough of them. */
  #out: Buffer[] = [];
  #isPaused = false;

  constructor(stream: Duplex, settings: LineSettings, events: LineEvents, deps: LineDeps) {
    this.#stream = stream;
    this.#settings = settings;
    this.#events = events;
    this.#deps = deps;
    this.#at = new URL(settings.url).host;
    this.#reader = new PacketReader(settings.protocol, FIXED_LIMITS.uplinkPacketBytesMax);
    this.#inbound = new Inbound(
      deps.session,
      events.onMessage,
      (kind, packetId) =>
        this.#write(generate({ cmd: kind, messageId: packetId }, this.#generated)),
      () => this.#readOn(),
    );
    this.#watch = new LineWatch({
      clock: deps.clock,
      keepaliveMs: settings.keepaliveS * 1_000,
      stallMs: settings.stallMs,
      owed: () => this.#flight.count,
      isDeaf: () => this.#isPaused,
      ping: () => this.#write(generate({ cmd: "pingreq" })),
      onStalled: (why) => this.#end(new LineFailure("stalled", `${this.#at}: ${why}`)),
    });
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("error", (error) => this.#end(this.#failureOf(error)));
    stream.on("close", () => this.#end(this.#hungUp()));
    stream.on("end", () => this.#end(this.#hungUp()));
    this.#write(connectPacket(settings));
  }

  get sessionPresent(): boolean {
    return this.#known.sessionPresent;
  }

  get receiveMax(): number {
    return this.#known.receiveMax;
  }

  get packetBytesMax(): number {
    return this.#known.packetBytesMax;
  }

  get retainAvailable(): boolean {
    return this.#known.retainAvailable;
  }

  get qosMax(): 0 | 1 | 2 {
    return this.#known.qosMax;
  }

  get inFlight(): Line["inFlight"] {
    return { count: this.#flight.count, bytes: this.#flight.bytes };
  }

  get lastProgressMs(): number {
    return this.#watch.ackedMs;
  }

  get lastHeardMs(): number {
    return this.#watch.heardMs;
  }

  /** Resolves at the CONNACK. @throws LineFailure. */
  async granted(signal: AbortSignal): Promise<Line> {
    const abort = (): void => this.#end(new LineFailure("ended", "the try was ended"));
    signal.addEventListener("abort", abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        this.#onGranted = (failure) => (failure === undefined ? resolve() : reject(failure));
        if (this.#failure !== undefined) reject(this.#failure);
        else if (signal.aborted) abort();
      });
      return this;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  readonly send = (message: UpMessage, options: SendOptions, settled: Settled): number => {
    if (this.#failure !== undefined) {
      settled(this.#failure);
      return 0;
    }
    const { packetBytesMax, retainAvailable } = this.#known;
    const sent = retainAvailable || !message.retain ? message : { ...message, retain: false };
    const packetId = this.#flight.takeId(options.packetId);
    const frame = encodePublish(this.#settings.protocol, sent, packetId, options.dup === true);
    if (frame.length > packetBytesMax || Buffer.byteLength(message.topic) > TEXT_BYTES_MAX) {
      const words = `a message of ${frame.length} bytes; the broker takes ${packetBytesMax}`;
      settled(new MessageFailure(words));
      return 0;
    }
    this.#flight.add("publish", packetId, frame.length, settled);
    this.#write(frame);
    return packetId;
  };

  readonly publish = async (message: UpMessage): Promise<void> =>
    settledOf((settled) => this.send(message, {}, settled));

  readonly subscribe = async (subscriptions: readonly Subscription[]): Promise<readonly number[]> =>
    this.#ask("subscribe", (messageId) => ({
      cmd: "subscribe",
      messageId,
      subscriptions: subscriptions.map(({ filter, qos, ...options }) => ({
        topic: filter,
        qos,
        nl: options.noLocal ?? false,
        rap: options.retainAsPublished ?? false,
        rh: options.retainHandling ?? 0,
      })),
    }));

  readonly unsubscribe = async (filters: readonly string[]): Promise<void> => {
    await this.#ask("unsubscribe", (messageId) => ({
      cmd: "unsubscribe",
      messageId,
      unsubscriptions: [...filters],
    }));
  };

  readonly close = async (): Promise<void> => {
    if (this.#failure !== undefined) return;
    this.#write(generate({ cmd: "disconnect" }, this.#generated));
    this.#flush();
    const { clock } = this.#deps;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(FIXED_LIMITS.uplinkLeaveMsMax, () => this.#stream.destroy());
      this.#stream.once("close", () => {
        cancel();
        resolve();
      });
      this.#end(new LineFailure("ended", "the line was closed"), "gracefully");
    });
  };

  get #known(): Granted {
    if (this.#granted === undefined) throw new Error("the line is not open yet");
    return this.#granted;
  }

  /** `mqtt-packet` writes another form for each protocol. */
  get #generated(): { readonly protocolVersion: 4 | 5 } {
    return { protocolVersion: this.#settings.protocol };
  }

  /** Resolves with the codes of the answer. */
  async #ask(
    kind: "subscribe" | "unsubscribe",
    packetOf: (id: number) => Packet,
  ): Promise<readonly number[]> {
    let codes: readonly number[] = [];
    await settledOf((settled) => {
      if (this.#failure !== undefined) {
        settled(this.#failure);
        return;
      }
      const packetId = this.#flight.takeId();
      this.#onCodes.set(packetId, (given) => (codes = given));
      this.#flight.add(kind, packetId, 0, settled);
      this.#write(generate(packetOf(packetId), this.#generated));
    });
    return codes;
  }

  #write(bytes: Buffer): void {
    if (this.#failure !== undefined) return;
    if (this.#out.length === 0) setImmediate(this.#flush);
    this.#out.push(bytes);
    if (this.#out.length >= FRAMES_AT_ONCE) this.#flush();
  }

  readonly #flush = (): void => {
    const [first] = this.#out;
    if (first === undefined || this.#stream.destroyed) return;
    const bytes = this.#out.length === 1 ? first : Buffer.concat(this.#out);
    this.#out = [];
    this.#stream.write(bytes);
    this.#watch.sent();
  };

  #read(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    this.#watch.heard();
    this.#reader.read(chunk, this.#take);
    if (this.#isPaused || !this.#inbound.isFull) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  #readOn(): void {
    if (!this.#isPaused || this.#inbound.isFull) return;
    this.#isPaused = false;
    this.#stream.resume();
  }

  readonly #take = (incoming: Incoming): void => {
    if (this.#failure !== undefined) return;
    switch (incoming.kind) {
      case "puback":
        this.#acked("publish", incoming.packetId, incoming.reasonCode);
        return;
      case "oversize":
        this.#events.onTooLarge(incoming.topic, incoming.bytes);
        this.#inbound.refuse(incoming.qos, incoming.packetId);
        return;
      case "fault":
        this.#break(incoming.detail);
        return;
      case "packet":
        if (this.#granted === undefined) this.#grant(incoming.packet);
        else this.#takePacket(incoming.packet);
    }
  };

  #grant(packet: Packet): void {
    const granted = grantedBy(this.#settings, packet);
    if (granted instanceof LineFailure) {
      this.#end(granted);
      return;
    }
    // [MQTT-3.1.2-6]: what the broker has forgotten we forget.
    if (!granted.sessionPresent) this.#deps.session.unreleased.clear();
    this.#granted = granted;
    const { keepaliveS } = granted;
    this.#watch.start(keepaliveS === undefined ? undefined : keepaliveS * 1_000);
    this.#onGranted();
  }

  #takePacket(packet: Packet): void {
    switch (packet.cmd) {
      case "publish":
        this.#inbound.take(packet);
        return;
      case "puback":
        this.#acked("publish", packet.messageId ?? 0, packet.reasonCode ?? 0, packet.properties);
        return;
      case "pubrel":
        this.#inbound.release(packet.messageId ?? 0);
        this.#write(
          generate({ cmd: "pubcomp", messageId: packet.messageId ?? 0 }, this.#generated),
        );
        return;
      case "suback":
      case "unsuback": {
        const packetId = packet.messageId ?? 0;
        this.#onCodes.get(packetId)?.(codesOf(packet));
        this.#onCodes.delete(packetId);
        this.#acked(packet.cmd === "suback" ? "subscribe" : "unsubscribe", packetId, 0);
        return;
      }
      case "pingresp":
        this.#watch.ponged();
        return;
      case "disconnect":
        this.#end(disconnectFailure(packet.reasonCode ?? 0, packet.properties?.reasonString));
        return;
      case "connack":
      case "pubrec":
      case "pubcomp":
      case "auth":
      case "connect":
      case "pingreq":
      case "subscribe":
      case "unsubscribe":
        this.#break(`${packet.cmd}, which was not asked for`);
    }
  }

  #acked(
    kind: "publish" | "subscribe" | "unsubscribe",
    packetId: number,
    code: number,
    properties?: { readonly reasonString?: string },
  ): void {
    const failure =
      code < 0x80
        ? undefined
        : new MessageFailure(
            `the broker refused: ${reasonWords(code, properties?.reasonString)}`,
            code,
          );
    const which = this.#flight.settle(kind, packetId, failure);
    // One for an id that is not known changes nothing: it may be of before our restart.
    if (which !== "unknown") this.#watch.acked(which);
  }

  /** MQTT 3.1.1 §4.8, MQTT 5 §4.13: what breaks the standard ends the connection. */
  #break(detail: string): void {
    if (this.#granted !== undefined && this.#settings.protocol === 5) {
      this.#write(generate({ cmd: "disconnect", reasonCode: 0x82 }, this.#generated));
    }
    const words =
      this.#granted === undefined ? "does not answer as MQTT does" : "broke the protocol";
    this.#end(new LineFailure("protocol", `${this.#at} ${words}: ${detail}`), "gracefully");
  }

  #failureOf(error: unknown): LineFailure {
    const failure = lineFailureOf(error, this.#at);
    return failure.kind === "closed" && this.#granted === undefined ? this.#hungUp() : failure;
  }

  #hungUp(): LineFailure {
    if (this.#granted !== undefined) {
      return new LineFailure("closed", `${this.#at}: the broker closed the connection`);
    }
    const { protocol, url } = this.#settings;
    const words = "it closed the connection without an answer to our CONNECT";
    const hints = [
      ...(url.startsWith("mqtt:") ? ["if it wants TLS, the url is to begin with mqtts"] : []),
      ...(protocol === 5 ? ['if it does not speak MQTT 5, set "protocol": 4'] : []),
    ];
    return new LineFailure("closed", [`${this.#at}: ${words}`, ...hints].join("; "));
  }

  #end(failure: LineFailure, how: "gracefully" | "at once" = "at once"): void {
    if (this.#failure !== undefined) return;
    this.#flush();
    this.#failure = failure;
    this.#watch.stop();
    this.#reader.end();
    if (how === "gracefully") this.#stream.end();
    else this.#stream.destroy();
    this.#flight.failAll(failure);
    if (this.#granted === undefined) this.#onGranted(failure);
    else this.#events.onClosed(failure);
  }
}

/** One for each filter; MQTT 3.1.1 has none in UNSUBACK. */
function codesOf(packet: ISubackPacket | IUnsubackPacket): readonly number[] {
  const given: unknown = packet.granted;
  if (!Array.isArray(given)) return [];
  return given.filter((code: unknown): code is number => typeof code === "number");
}

async function settledOf(start: (settled: Settled) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((failure) => {
      if (failure === undefined) resolve();
      else reject(failure);
    });
  });
}
