import { Duplex } from "node:stream";
import { GatewayError } from "../errors.ts";
import { principalOf, type Authenticated } from "../interactions/authentication.ts";
import type { Channel, Peer } from "../channel.ts";
import type { CancelTimer } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Principal } from "../thing/access.ts";
import { admit, recheck, type RefusedConnect } from "./admission.ts";
import { ACK, encodeConnack, encodeSuback, type AckByte } from "./answers.ts";
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
import { refusalOfConnect, refusalOfFault, refusalOfFilter } from "./refusal-reasons.ts";
import { takePublish } from "./inbound.ts";
import { Keepalive } from "./keepalive.ts";
import type { Session } from "./sessions.ts";
import { OUT_BYTES_MAX, SocketOutlet } from "./socket-outlet.ts";
import { grantSubscriptions } from "./subscriptions.ts";
import { Turn } from "./turn.ts";

/** What leaves when its batch is on disk. `undefined`: nothing, but it counts as unanswered. */
type Answer = { readonly first: AckByte; readonly packetId: number } | (() => void) | undefined;

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
  readonly channel: Channel;
  readonly #certificate: Peer["certificate"];
  readonly #socket: Duplex;
  readonly #deps: GateDeps;
  readonly #reader: FrameReader;
  readonly #outlet: SocketOutlet;
  readonly #keepalive: Keepalive;
  readonly #turn = new Turn(() => this.#pull());
  readonly #answerLater: (answer: Answer) => void;
  #session: Session | undefined;
  #as: Authenticated | undefined;
  #clientId = "";
  /** Frames are not taken for now: a CONNECT is being decided on, or answered. */
  #isHeld = false;
  /** A publish that waits for a store that takes nothing, and the frames behind it. */
  #withheld: PublishFrame | OversizePublishFrame | undefined;
  #cancelWithholding: CancelTimer | undefined;
  /** Publishes whose answer waits for the disk. */
  #unanswered = 0;
  #isClosed = false;
  #hasDisconnected = false;
  readonly #cancelConnectTimer: CancelTimer;

  constructor(socket: Duplex, peer: Peer, deps: GateDeps) {
    super({ allowHalfOpen: false, writableHighWaterMark: OUT_BYTES_MAX });
    this.#socket = socket;
    this.#deps = deps;
    this.address = peer.address;
    this.channel = peer.channel;
    this.#certificate = peer.certificate;
    this.#reader = new FrameReader({ packetBytesMax: deps.interactions.limits.packet_bytes });
    const { clock } = deps.interactions;
    this.#outlet = new SocketOutlet(socket, clock, () => this.close("reads too slowly"));
    this.#keepalive = new Keepalive(clock);
    const { commit } = deps.interactions.store;
    this.#answerLater = commit.inBatches((answers, failure) => this.#send(answers, failure));
    this.#cancelConnectTimer = clock.after(FIXED_LIMITS.connectTimeoutMs, () => {
      this.close("no CONNECT");
    });
    socket.on("data", (chunk: Buffer) => this.#hear(chunk));
    socket.on("error", () => this.close("socket error"));
    socket.on("close", () => this.close("socket closed"));
  }

  get clientId(): string {
    return this.#clientId;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** Whose connection it is, and by which password or certificate. */
  get authenticated(): Authenticated | undefined {
    return this.#as;
  }

  /** Ends the connection. Idempotent. `withoutWill`: its rights are gone, or the gateway stops. */
  close(reason: string, options: { readonly withoutWill?: boolean } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelConnectTimer();
    this.#keepalive.stop();
    this.#cancelWithholding?.();
    this.#deps.log.debug("mqtt.closed", { clientId: this.#clientId, reason });
    this.#deps.onClosed(this);
    const session = this.#session;
    if (session !== undefined) {
      const keepsWill = this.#hasDisconnected || options.withoutWill === true;
      if (keepsWill) this.#deps.wills.drop(this.#clientId);
      else this.#deps.wills.publish(this.#clientId);
      this.#deps.sessions.leave(session);
    }
    this.#outlet.end();
    if (!this.destroyed) this.destroy();
  }

  /** aedes has answered the CONNECT: the session goes on from here. */
  onConnack(): void {
    if (this.#isClosed) return;
    this.#isHeld = false;
    this.#session?.queue.attach(this.#outlet);
    this.#pull();
  }

  /**
   * The store takes nothing new, or does again. Publishes are held meanwhile, those that wait for
   * their answer included; a client that has some is cut off after a time, so that it tries again.
   */
  onWritability(isWritable: boolean): void {
    if (!isWritable) {
      if (this.#unanswered > 0) this.#startWithholding();
      return;
    }
    this.#cancelWithholding?.();
    this.#cancelWithholding = undefined;
    const frame = this.#withheld;
    this.#withheld = undefined;
    if (frame === undefined || this.#isClosed) return;
    this.#takePublish(frame);
    this.#pull();
  }

  override _read(): void {
    // aedes is given what it needs by `push`.
  }

  override _write(chunk: Buffer, _encoding: unknown, done: () => void): void {
    this.#outlet.send(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.close(error?.message ?? "closed by the protocol engine");
    done(null);
  }

  #hear(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#keepalive.heard();
    this.#reader.push(chunk);
    this.#pull();
    if (this.#turn.isOverAfter(chunk.length)) this.#socket.pause();
  }

  #mustWait(): boolean {
    const { inflight } = this.#deps.interactions.limits;
    if (this.#isHeld || this.#turn.isOver) return true;
    return this.#withheld !== undefined || this.#unanswered >= inflight;
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
      this.#turn.took();
    }
    if (!this.#isClosed) this.#socket.pause();
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case "publish":
      case "oversize-publish": {
        if (this.#deps.interactions.store.writability.refusal === undefined) {
          this.#takePublish(frame);
        } else {
          this.#withheld = frame;
          this.#startWithholding();
        }
        return;
      }
      case "pubrel":
        this.#takePubrel(frame.packetId);
        return;
      case "connect":
        this.#takeConnect(frame);
        return;
      case "subscribe":
        this.#takeSubscribe(frame);
        return;
      case "unsubscribe":
        this.#takeUnsubscribe(frame.packetId, frame.filters);
        return;
      case "other":
        this.#takeOther(frame);
        return;
      case "fault":
        if (frame.connackCode !== undefined)
          this.#outlet.send(encodeConnack(false, frame.connackCode));
        this.#deps.log.info("mqtt.protocol_error", {
          clientId: this.#clientId,
          address: this.address,
          reason: frame.reason,
          clause: frame.clause,
        });
        this.#deps.onRefused(refusalOfFault(this, frame));
        this.close(`protocol error: ${frame.reason}`);
        return;
    }
  }

  #takeConnect(frame: ConnectFrame): void {
    this.#isHeld = true;
    const { store } = this.#deps.interactions;
    // The chunk it stands in may be used again before the password has been checked.
    const connect = { ...frame, bytes: Buffer.from(frame.bytes) };
    this.#cancelConnectTimer();
    const peer = { address: this.address, certificate: this.#certificate };
    admit(this.#deps, connect, peer).then((admission) => {
      if (this.#isClosed) return;
      const now = admission.ok ? recheck(this.#deps, connect, admission.as) : admission;
      if (!now.ok) {
        this.#refuse(connect, now);
        return;
      }
      this.#keepalive.start(
        connect.keepalive,
        () => this.#socket.isPaused(),
        () => this.close("keep alive"),
      );
      this.#open(connect, now.as);
      // While the disk takes nothing clients are let in all the same: they may only want to listen.
      if (store.writability.stall !== undefined) {
        this.#handOver(connect);
        return;
      }
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

  #refuse(connect: ConnectFrame, refused: RefusedConnect): void {
    const { code, reason } = refused;
    this.#deps.log.info("mqtt.connect_refused", { address: this.address, code, reason });
    this.#deps.onRefused(refusalOfConnect(this, connect, refused));
    this.#outlet.send(encodeConnack(false, code));
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
        const publish = { principal, clientId, peer: this, topic, levels, payload, qos, retain };
        takePublish(this.#deps.inbound, publish);
      } catch (error) {
        // The store has failed: it is not acknowledged, so the client sends it again.
        if (!(error instanceof GatewayError)) throw error;
        this.close(error.message);
        return;
      }
    }
    if (qos === 0) this.#answer(undefined);
    else this.#answer({ first: qos === 1 ? ACK.puback : ACK.pubrec, packetId });
  }

  #takePubrel(packetId: number): void {
    if (this.#session !== undefined) this.#deps.sessions.releaseIncoming(this.#session, packetId);
    this.#answer({ first: ACK.pubcomp, packetId });
  }

  #takeSubscribe({ filters, packetId }: SubscribeFrame): void {
    const principal = this.#principal();
    const session = this.#session;
    if (principal === undefined || session === undefined) return;
    const request = { principal, session, filters };
    const { codes, granted, refused } = grantSubscriptions(this.#deps, request);
    for (const each of refused) this.#deps.onRefused(refusalOfFilter(this, each));
    this.#deps.sessions.subscribe(session, granted);
    const sendRetained = this.#deps.inbound.outbound.oweRetained(session, granted);
    const answer = (): void => {
      this.#outlet.send(encodeSuback(packetId, codes));
      sendRetained();
    };
    // A clean session has no row to wait for.
    const isStalled = this.#deps.interactions.store.writability.stall !== undefined;
    if (isStalled && session.number === undefined) answer();
    else this.#answer(answer);
  }

  #takeUnsubscribe(packetId: number, filters: readonly string[]): void {
    if (this.#session !== undefined) this.#deps.sessions.unsubscribe(this.#session, filters);
    this.#answer({ first: ACK.unsuback, packetId });
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

  /** Answers when all that was put so far is on disk; not at all if it cannot be written. */
  #answer(answer: Answer): void {
    this.#unanswered += 1;
    this.#answerLater(answer);
  }

  #send(answers: readonly Answer[], failure: GatewayError | undefined): void {
    const wasWaiting = this.#mustWait();
    this.#unanswered -= answers.length;
    if (failure !== undefined) {
      this.close("the store cannot write");
      return;
    }
    for (const answer of answers) {
      if (typeof answer === "function") answer();
      else if (answer !== undefined) this.#outlet.sendAck(answer.first, answer.packetId);
    }
    if (wasWaiting) this.#pull();
  }

  #startWithholding(): void {
    this.#cancelWithholding ??= this.#deps.interactions.clock.after(
      FIXED_LIMITS.withheldMsMax,
      () => this.close("the store takes nothing"),
    );
  }

  #principal(): Principal | undefined {
    const ulid = this.#as?.credential.ulid;
    const now =
      ulid === undefined ? undefined : this.#deps.interactions.store.credentials.get(ulid);
    return now === undefined ? undefined : principalOf(now);
  }
}
