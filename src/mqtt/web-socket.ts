import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import { endWith } from "../last-words.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { RefusalCause } from "../refusal-causes.ts";

/** [MQTT-6.0.0-4]; and what clients of MQTT 3.1 call it. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"] as const;

/** RFC 6455 §7.4.1. */
const CLOSE = { normal: 1000, unsupported: 1003 } as const;

export type WebSocketBounds = {
  readonly clock: Clock;
  /** Of one message, which may hold several packets or a part of one [MQTT-6.0.0-2]. */
  readonly messageBytesMax: number;
};

/** Why one was refused, or closed for what it carried: for the log of refusals. */
export type WebSocketFault = { readonly cause: RefusalCause; readonly detail: string };

export type WebSocketTaker = {
  /** Is given the bytes of its binary messages. */
  readonly serve: (stream: Duplex) => void;
  readonly onFault: (fault: WebSocketFault) => void;
};

export type WebSockets = {
  /** Answers a handshake: it is served, or refused. */
  readonly accept: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    taker: WebSocketTaker,
  ) => void;
};

/** Takes WebSockets that carry MQTT. Nothing is compressed: a few bytes must not become many. */
export function openWebSockets(bounds: WebSocketBounds): WebSockets {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: bounds.messageBytesMax,
    // What is owed of a message before it is whole is held, of strangers too: ws would take 16,384 frames.
    maxFragments: FIXED_LIMITS.webSocketFragmentsMax,
    maxBufferedChunks: FIXED_LIMITS.webSocketChunksMax,
    // Answered by hand, so that nobody fills the memory with answers he does not read.
    autoPong: false,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  return {
    accept: (request, socket, head, { serve, onFault }) => {
      if (!offersMqtt(request)) {
        const body = "the sub-protocol mqtt is missing";
        onFault({ cause: "bad-protocol", detail: body });
        const text =
          "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n" +
          `Content-Length: ${body.length}\r\n\r\n${body}`;
        endWith(socket, text, bounds.clock);
        return;
      }
      server.handleUpgrade(request, socket, head, (opened) => {
        serve(new WebSocketStream(opened, bounds.clock, onFault));
      });
    },
  };
}

/** Of an error that is the client's doing; `undefined`: the network's. */
function faultOf(error: Error): WebSocketFault | undefined {
  const code = "code" in error ? String(error.code) : "";
  if (!code.startsWith("WS_ERR_")) return undefined;
  const cause = OVER_BOUND.has(code) ? "limits" : "bad-protocol";
  return { cause, detail: `the WebSocket was closed: ${error.message}` };
}

/** As ws calls a message that is too long, and one in too many pieces. */
const OVER_BOUND = new Set(["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", "WS_ERR_TOO_MANY_BUFFERED_PARTS"]);

/** [MQTT-6.0.0-3]: the client names it. */
function offersMqtt({ headers }: IncomingMessage): boolean {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  return SUBPROTOCOLS.some((name) => offered.includes(name));
}

/** The bytes of a WebSocket's messages. What is written in one turn is one message. */
class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #clock: Clock;

  constructor(socket: WebSocket, clock: Clock, onFault: WebSocketTaker["onFault"]) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#clock = clock;
    socket.on("message", (message, isBinary) => {
      if (this.destroyed) return;
      // [MQTT-6.0.0-1]
      if (!isBinary || !Buffer.isBuffer(message)) {
        const detail = "only binary messages are MQTT";
        onFault({ cause: "bad-protocol", detail });
        socket.close(CLOSE.unsupported, detail);
        this.destroy();
      } else if (!this.push(message)) socket.pause();
    });
    socket.on("ping", (payload) => {
      if (socket.bufferedAmount > FIXED_LIMITS.cloggedBytesMax) this.destroy();
      else socket.pong(payload, false);
    });
    socket.on("error", (error) => {
      const fault = faultOf(error);
      if (fault !== undefined && !this.destroyed) onFault(fault);
      this.destroy(error);
    });
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
