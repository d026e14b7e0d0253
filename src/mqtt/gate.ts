import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { GatewayError } from "../errors.ts";
import { principalOf, type Authenticated } from "../interactions/authentication.ts";
import type { CancelTimer } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Principal } from "../thing/access.ts";
import { admit, recheck } from "./admission.ts";
import {
  encodeConnack,
  encodePuback,
  encodePubcomp,
  encodePubrec,
  encodeSuback,
  encodeUnsuback,
  type ConnackCode,
} from "./answers.ts";
import type {
  ConnectFrame,
  Frame,
  OtherFrame,
  OversizePublishFrame,
  PublishFrame,
  SubscribeFrame,
} from "./frame-kinds.ts";
import { FrameReader } from "./frames.ts";
import type { GateDeps } from "./gate-deps.ts";
import { takePublish } from "./inbound.ts";
import type { Session } from "./sessions.ts";
import { grantSubscriptions } from "./subscriptions.ts";

/** Bytes waiting for a slow reader beyond which QoS 0 messages to it are dropped. */
const CLOGGED_BYTES = 1024 * 1024;
/** Beyond which its connection ends: a frozen reader costs itself only. */
const OUT_BYTES_MAX = 32 * 1024 * 1024;

/**
 * One connection, in front of aedes: every byte passes here first.
 *
 * The gate takes what has to be durable or in order: PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE and the
 * answers to what a session sends. aedes gets CONNECT (admitted, without its will and keep alive),
 * PINGREQ and DISCONNECT. Towards aedes the gate is the connection's stream.
 *
 * Invariant: every answer to a publish goes through `commit.settled`, also that of a refused one, so
 * that answers leave in the client's order [MQTT-4.6.0-2] and none before its batch is on disk.
 */
export class Gate extends Duplex {
  readonly address: string;
  readonly #socket: Socket;
  readonly #deps: GateDeps;
  readonly #reader: FrameReader;
  #session: Session | undefined;
  #as: Authenticated | undefined;
  #clientId = "";
  /** Frames are not taken for now: a CONNECT is being decided on, or answered. */
  #isHeld = false;
  /** Publishes whose answer waits for the disk. */
  #unanswered = 0;
  #isCorked = false;
  #isClosed = false;
  #hasDisconnected = false;
  #keepaliveMs = 0;
  #lastHeardMs: number;
  #cancelTimer: CancelTimer;

  constructor(socket: Socket, deps: GateDeps) {
    super({ allowHalfOpen: false, writableHighWaterMark: OUT_BYTES_MAX });
    this.#socket = socket;
    this.#deps = deps;
    this.address = socket.remoteAddress ?? "";
    this.#reader = new FrameReader({ packetBytesMax: deps.interactions.limits.packet_bytes });
    const { clock } = deps.interactions;
    this.#lastHeardMs = clock.monotonicMs();
    this.#cancelTimer = clock.after(FIXED_LIMITS.connectTimeoutMs, () => this.close("no CONNECT"));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.on("data", (chunk) => this.#hear(chunk));
    socket.on("error", () => this.close("socket error"));
    socket.on("close", () => this.close("socket closed"));
  }

  get clientId(): string {
    return this.#clientId;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** Whose connection it is, and by which password. */
  get authenticated(): Authenticated | undefined {
    return this.#as;
  }

  /** Ends the connection. Idempotent. `withoutWill`: its rights are gone, or the gateway stops. */
  close(reason: string, options: { readonly withoutWill?: boolean } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    this.#deps.log.debug("mqtt.closed", { clientId: this.#clientId, reason });
    this.#deps.onClosed(this);
    const session = this.#session;
    if (session !== undefined) {
      const keepsWill = this.#hasDisconnected || options.withoutWill === true;
      if (keepsWill) this.#deps.wills.drop(this.#clientId);
      else this.#deps.wills.publish(this.#clientId);
      this.#deps.sessions.leave(session);
    }
    // What is buffered still goes out; a peer that does not read it is cut off.
    this.#socket.end();
    this.#deps.interactions.clock.after(1_000, () => this.#socket.destroy());
    if (!this.destroyed) this.destroy();
  }

  /** Takes a packet for the client; all of one turn go out in one system call. */
  send(packet: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(packet);
    if (this.#socket.writableLength > OUT_BYTES_MAX) {
      this.close("reads too slowly");
      this.#socket.destroy();
    }
  }

  isClogged(): boolean {
    return this.#socket.writableLength > CLOGGED_BYTES;
  }

  /** aedes has answered the CONNECT: the session goes on from here. */
  onConnack(): void {
    if (this.#isClosed) return;
    this.#isHeld = false;
    this.#session?.queue.attach(this);
    this.#pull();
  }

  override _read(): void {
    // aedes is given what it needs by `push`.
  }

  override _write(chunk: Buffer, _encoding: unknown, done: () => void): void {
    this.send(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.close(error?.message ?? "closed by the protocol engine");
    done(null);
  }

  #hear(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#lastHeardMs = this.#deps.interactions.clock.monotonicMs();
    this.#reader.push(chunk);
    this.#pull();
  }

  #mustWait(): boolean {
    return this.#isHeld || this.#unanswered >= this.#deps.interactions.limits.inflight;
  }

  /** Takes frames while it may; what is not taken holds back the socket. */
  #pull(): void {
    while (!this.#isClosed && !this.#mustWait()) {
      const frame = this.#reader.next();
      if (frame === undefined) {
        this.#socket.resume();
        return;
      }
      this.#take(frame);
    }
    if (!this.#isClosed) this.#socket.pause();
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case "publish":
      case "oversize-publish": {
        this.#takePublish(frame);
        return;
      }
      case "pubrel": {
        this.#takePubrel(frame.packetId);
        return;
      }
      case "connect": {
        this.#takeConnect(frame);
        return;
      }
      case "subscribe": {
        this.#takeSubscribe(frame);
        return;
      }
      case "unsubscribe": {
        this.#takeUnsubscribe(frame.packetId, frame.filters);
        return;
      }
      case "other": {
        this.#takeOther(frame);
        return;
      }
      case "fault":
        if (frame.connackCode !== undefined) this.send(encodeConnack(false, frame.connackCode));
        this.#deps.log.info("mqtt.protocol_error", {
          clientId: this.#clientId,
          address: this.address,
          reason: frame.reason,
          clause: frame.clause,
        });
        {
          this.close(`protocol error: ${frame.reason}`);
          return;
        }
    }
  }

  #takeConnect(frame: ConnectFrame): void {
    this.#isHeld = true;
    const { clock, store } = this.#deps.interactions;
    // The chunk it stands in may be used again before the password has been checked.
    const connect = { ...frame, bytes: Buffer.from(frame.bytes) };
    if (!this.#deps.mayTry(this.address)) {
      this.#refuse(3, "too many failed log-ins from this address");
      return;
    }
    admit(this.#deps, connect).then((admission) => {
      if (this.#isClosed) return;
      const now = admission.ok ? recheck(this.#deps, connect, admission.as) : admission;
      if (!now.ok) {
        if (now.code === 4) this.#deps.onFailedLogin(this.address);
        this.#refuse(now.code, now.reason);
        return;
      }
      this.#cancelTimer();
      this.#keepaliveMs = connect.keepalive * 1_500; // One and a half times [MQTT-3.1.2-24].
      if (this.#keepaliveMs > 0) this.#watchKeepalive(clock.monotonicMs());
      this.#open(connect, now.as);
      store.commit.settled((failure) => {
        if (failure !== undefined) this.close("the store cannot write");
        else if (!this.#isClosed) this.#handOver(connect);
      });
    }, this.#deps.onFatal);
  }

  /** The session, the will and the takeover, in one batch and one turn. */
  #open(connect: ConnectFrame, as: Authenticated): void {
    this.#clientId = connect.clientId === "" ? this.#deps.makeClientId() : connect.clientId;
    this.#deps.onOpen(this);
    this.#as = as;
    const { will, clean } = connect;
    const credential = as.credential.ulid;
    this.#session = this.#deps.sessions.open(this.#clientId, credential, clean);
    const row =
      will === undefined ? undefined : { ...will, payload: Buffer.from(will.payload), credential };
    this.#deps.wills.set(this.#clientId, row);
  }

  #handOver(connect: ConnectFrame): void {
    this.#deps.handle(this);
    this.push(connect.bytes);
  }

  #refuse(code: ConnackCode, reason: string): void {
    this.#deps.onRefusedConnect(this.address, code, reason);
    this.send(encodeConnack(false, code));
    this.close(reason);
  }

  #takePublish(frame: PublishFrame | OversizePublishFrame): void {
    const principal = this.#principal();
    const session = this.#session;
    if (principal === undefined || session === undefined) {
      this.close("its credential is gone", { withoutWill: true });
      return;
    }
    const { qos, packetId } = frame;
    const isRepeated = qos === 2 && session.incoming.has(packetId);
    if (!isRepeated) {
      try {
        if (qos === 2) this.#deps.sessions.rememberIncoming(session, packetId);
        const payload = frame.kind === "publish" ? frame.payload : undefined;
        const { topic, levels, retain } = frame;
        const { clientId } = this;
        const publish = { principal, clientId, topic, levels, payload, qos, retain };
        takePublish(this.#deps.inbound, publish);
      } catch (error) {
        // The store has failed: it is not acknowledged, so the client sends it again.
        if (!(error instanceof GatewayError)) throw error;
        this.close(error.message);
        return;
      }
    }
    this.#answer(
      qos === 0 ? undefined : qos === 1 ? encodePuback(packetId) : encodePubrec(packetId),
    );
  }

  #takePubrel(packetId: number): void {
    if (this.#session !== undefined) this.#deps.sessions.releaseIncoming(this.#session, packetId);
    this.#answer(encodePubcomp(packetId));
  }

  #takeSubscribe({ filters, packetId }: SubscribeFrame): void {
    const principal = this.#principal();
    const session = this.#session;
    if (principal === undefined || session === undefined) return;
    const { codes, granted } = grantSubscriptions(this.#deps, { principal, session, filters });
    this.#deps.sessions.subscribe(session, granted);
    this.#answer(encodeSuback(packetId, codes), () => {
      for (const { matching, qos } of granted) {
        this.#deps.inbound.outbound.sendRetained(session, matching, qos);
      }
    });
  }

  #takeUnsubscribe(packetId: number, filters: readonly string[]): void {
    if (this.#session !== undefined) this.#deps.sessions.unsubscribe(this.#session, filters);
    this.#answer(encodeUnsuback(packetId));
  }

  #takeOther({ type, packetId, bytes }: OtherFrame): void {
    const queue = this.#session?.queue;
    switch (type) {
      case "puback":
        return queue?.acknowledge(packetId);
      case "pubrec":
        return queue?.receive(packetId);
      case "pubcomp":
        return queue?.complete(packetId);
      case "disconnect":
        this.#hasDisconnected = true;
        this.push(Buffer.from(bytes));
        return;
      case "pingreq":
        this.push(Buffer.from(bytes));
        return;
    }
  }

  /** Sends the answer when all that was put so far is on disk; not at all if it cannot be written. */
  #answer(packet: Buffer | undefined, then?: () => void): void {
    this.#unanswered += 1;
    this.#deps.interactions.store.commit.settled((failure) => {
      const wasWaiting = this.#mustWait();
      this.#unanswered -= 1;
      if (failure !== undefined) {
        this.close("the store cannot write");
        return;
      }
      if (packet !== undefined) this.send(packet);
      then?.();
      if (wasWaiting) this.#pull();
    });
  }

  #principal(): Principal | undefined {
    const ulid = this.#as?.credential.ulid;
    const now =
      ulid === undefined ? undefined : this.#deps.interactions.store.credentials.get(ulid);
    return now === undefined ? undefined : principalOf(now);
  }

  #watchKeepalive(nowMs: number): void {
    const dueMs = this.#lastHeardMs + this.#keepaliveMs;
    this.#cancelTimer = this.#deps.interactions.clock.after(dueMs - nowMs, () => {
      const { clock } = this.#deps.interactions;
      // While frames are held back nothing can be heard, and that is not the client's fault.
      if (this.#socket.isPaused()) this.#lastHeardMs = clock.monotonicMs();
      if (clock.monotonicMs() - this.#lastHeardMs >= this.#keepaliveMs) this.close("keep alive");
      else this.#watchKeepalive(clock.monotonicMs());
    });
  }
}
