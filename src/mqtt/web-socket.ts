import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";

/** [MQTT-6.0.0-4]; and what clients of MQTT 3.1 call it. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"] as const;

/** RFC 6455 §7.4.1. */
const CLOSE = { normal: 1000, unsupported: 1003 } as const;

export type WebSocketBounds = {
  readonly clock: Clock;
  /** Of one message, which may hold several packets or a part of one [MQTT-6.0.0-2]. */
  readonly messageBytesMax: number;
};

export type WebSockets = {
  /** Answers a handshake; `serve` is given the bytes of its binary messages, or it is refused. */
  readonly accept: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    serve: (stream: Duplex) => void,
  ) => void;
};

/** Takes WebSockets that carry MQTT. Nothing is compressed: a few bytes must not become many. */
export function openWebSockets(bounds: WebSocketBounds): WebSockets {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: bounds.messageBytesMax,
    // Answered by hand, so that nobody fills the memory with answers he does not read.
    autoPong: false,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  return {
    accept: (request, socket, head, serve) => {
      if (!offersMqtt(request)) {
        const body = "the sub-protocol mqtt is missing";
        socket.end(
          "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n" +
            `Content-Length: ${body.length}\r\n\r\n${body}`,
        );
        return;
      }
      server.handleUpgrade(request, socket, head, (opened) => {
        serve(new WebSocketStream(opened, bounds.clock));
      });
    },
  };
}

/** [MQTT-6.0.0-3]: the client names it. */
function offersMqtt({ headers }: IncomingMessage): boolean {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  return SUBPROTOCOLS.some((name) => offered.includes(name));
}

/** The bytes of a WebSocket's messages. What is written in one turn is one message. */
class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #clock: Clock;

  constructor(socket: WebSocket, clock: Clock) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#clock = clock;
    socket.on("message", (message, isBinary) => {
      if (this.destroyed) return;
      // [MQTT-6.0.0-1]
      if (!isBinary || !Buffer.isBuffer(message)) {
        socket.close(CLOSE.unsupported, "only binary messages are MQTT");
        this.destroy();
      } else if (!this.push(message)) socket.pause();
    });
    socket.on("ping", (payload) => {
      if (socket.bufferedAmount > FIXED_LIMITS.cloggedBytesMax) this.destroy();
      else socket.pong(payload, false);
    });
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: unknown, done: (error?: Error) => void): void {
    this.#send(chunk, done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error) => void,
  ): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#socket.close(CLOSE.normal);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // The peer may read the reason; it does not have to say good-bye.
    this.#clock.after(FIXED_LIMITS.lingerMs, () => this.#socket.terminate());
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.close(CLOSE.normal);
    done(error);
  }

  #send(bytes: Buffer, done: (error?: Error) => void): void {
    // After its close nothing can be sent; the stream learns of it by its event.
    this.#socket.send(bytes, (error) => done(error ?? undefined));
  }
}
