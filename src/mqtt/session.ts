import { strict as assert } from "node:assert";
import type { Deliverability } from "../interactions/action-deadlines.ts";
import type { Limits } from "../limits.ts";
import type { Commit } from "../store/commit.ts";
import { ACK, type AckByte } from "./answers.ts";
import type { Qos } from "./frame-kinds.ts";
import type { Message, PublishHeader, RequestReference } from "./message.ts";
import { OwedRetained, type RetainedCopy } from "./owed-retained.ts";
import { newEntry, storedEntry, type QueueEntry } from "./queue-entry.ts";
import type { QueueRoom } from "./queue-room.ts";
import { queueKey, readQueued, writeQueued, type QueuedHead } from "./session-rows.ts";
import { Waiting } from "./waiting.ts";

/** Where a session's packets go while a connection is open. */
export type Outlet = {
  readonly sendPublish: (message: Message, header: PublishHeader) => void;
  readonly sendAck: (first: AckByte, packetId: number) => void;
  /** The socket takes no more for now: QoS 0 messages are dropped. */
  readonly isClogged: () => boolean;
  /** Calls back whenever all that waited for the socket has gone out. */
  readonly onDrained: (callback: () => void) => void;
};

export type SessionDeps = {
  readonly commit: Pick<Commit, "put" | "delete" | "read" | "settled">;
  readonly limits: Pick<Limits, "inflight" | "session_queue_messages" | "session_queue_bytes">;
  readonly room: QueueRoom;
  readonly deliverability: (request: RequestReference) => Deliverability;
  /** A message was dropped: of a state that a newer one replaced, or because the queue is full. */
  readonly onDropped: (cause: "superseded" | "queue-full" | "clogged" | "expired") => void;
};

const PACKET_ID_MAX = 0xffff;

/**
 * What one session is owed, in order: the queue, the window of packets in flight, and their ids.
 *
 * A message of a persistent session is in the batch of the change it tells of, and is sent when that
 * batch is on disk. Past the bound of the queue a state keeps its latest message; any other message
 * is refused, newest first.
 */
export class SessionQueue {
  readonly #deps: SessionDeps;
  /** `undefined`: a clean session, whose queue ends with its connection. */
  readonly #persistentAs: number | undefined;
  /** Not sent yet, in order. */
  readonly #waiting = new Waiting<QueueEntry>();
  /** Sent and not acknowledged, by packet id, in the order they were sent. */
  readonly #inFlight = new Map<number, QueueEntry>();
  readonly #retained = new OwedRetained();
  #outlet: Outlet | undefined;
  #lastCounter = 0;
  /** What waits may be sent up to here: its batch is on disk. */
  #releasedThrough = 0;
  #bytes = 0;

  constructor(deps: SessionDeps, persistentAs: number | undefined) {
    this.#deps = deps;
    this.#persistentAs = persistentAs;
  }

  /** Messages owed and their bytes. */
  get depth(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#waiting.size + this.#inFlight.size, bytes: this.#bytes };
  }

  /**
   * Takes back a row found on disk at the start, in order. `wasConnected`: the gateway ended without
   * seeing the end of the connection, so that nobody knows what was sent of the first window.
   */
  restore(counter: number, row: QueuedHead, bytes: number, wasConnected: boolean): void {
    assert(this.#persistentAs !== undefined, "a clean session has no rows");
    const { message, packetId } = row;
    const key = queueKey(this.#persistentAs, counter);
    const mayHaveBeenSent = wasConnected && this.depth.messages < this.#deps.limits.inflight;
    const entry = storedEntry(counter, row, { bytes, key, mayHaveBeenSent });
    if (packetId === 0) this.#waiting.add(entry);
    else this.#inFlight.set(packetId, entry);
    if (message.retain) this.#retained.restore(counter, message.topic);
    this.#count(entry);
    this.#lastCounter = counter;
    this.#releasedThrough = counter;
  }

  /**
   * Takes a message at the QoS the subscriber gets it. Returns what `release` wants when the batch
   * is on disk, or `undefined` if the message was dropped.
   */
  offer(message: Message, qos: Qos): number | undefined {
    if (qos === 0 && this.#outlet === undefined) return undefined;
    if (this.#isFull(message) && (qos === 0 || !this.#makeRoom(message))) {
      this.#deps.onDropped(qos === 0 ? "clogged" : "queue-full");
      return undefined;
    }
    this.#lastCounter += 1;
    const counter = this.#lastCounter;
    const key = this.#keyFor(counter, qos);
    if (key !== undefined) {
      this.#deps.commit.put(key, writeQueued(message, { qos, packetId: 0, isReceived: false }));
    }
    const entry = newEntry(counter, message, qos, key);
    this.#waiting.add(entry);
    this.#count(entry);
    return counter;
  }

  /**
   * Takes the retained messages of new subscriptions. They may go out once what is returned is called;
   * none has a row before it is sent. `onDelivered`: none is owed any more.
   */
  oweRetained(copies: readonly RetainedCopy[], onDelivered: () => void): () => void {
    const admit = this.#retained.owe(copies, this.#lastCounter, onDelivered);
    return () => {
      admit();
      this.pump();
    };
  }

  isRetainedInFlight(topic: string): boolean {
    return this.#retained.isInFlight(topic);
  }

  /** What was offered up to `counter` is on disk: it may go out. */
  release(counter: number): void {
    const before = this.#releasedThrough;
    if (counter <= before) return;
    this.#releasedThrough = counter;
    this.pump();
    if (this.#outlet !== undefined) return;
    // Nobody may come for them for months: their rows are enough.
    for (let next = before + 1; next <= counter; next += 1) {
      const entry = this.#waiting.get(next);
      if (entry?.key !== undefined) entry.message = undefined;
    }
  }

  /** A connection is open: first what was in flight, in the order it was sent [MQTT-4.4.0-1]. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    outlet.onDrained(() => {
      if (this.#outlet === outlet && !this.#retained.isEmpty) this.pump();
    });
    for (const entry of this.#inFlight.values()) this.#resend(entry);
    this.pump();
  }

  /** The connection is gone. QoS 0 messages go with it; ids in use are kept [MQTT-4.4.0-1]. */
  detach(): void {
    this.#outlet = undefined;
    for (const entry of this.#inFlight.values()) if (!entry.isIdStored) this.#store(entry);
    for (const entry of this.#waiting.values()) {
      if (entry.qos === 0) this.#forget(entry);
      else if (entry.key !== undefined && this.#isReleased(entry)) entry.message = undefined;
    }
    this.#retained.keepOnly(({ qos }) => qos !== 0);
  }

  /** Sends what may be sent, up to the window. */
  pump(): void {
    if (this.#outlet === undefined) return;
    for (const entry of this.#waiting.values()) {
      if (!this.#retained.isEmpty && !this.#pumpRetained(entry.counter, this.#outlet)) return;
      if (!this.#isReleased(entry)) return;
      if (entry.qos !== 0 && this.#inFlight.size >= this.#deps.limits.inflight) return;
      if (!this.#mayGo(entry)) continue;
      this.#send(entry, this.#outlet);
    }
    if (!this.#retained.isEmpty) this.#pumpRetained(Number.POSITIVE_INFINITY, this.#outlet);
  }

  /** PUBACK. */
  acknowledge(packetId: number): void {
    const entry = this.#inFlight.get(packetId);
    if (entry?.qos !== 1) return;
    this.#forget(entry);
    this.pump();
  }

  /** PUBREC: answers with PUBREL, also for an id that is not known, or the client would ask for ever. */
  receive(packetId: number): void {
    const entry = this.#inFlight.get(packetId);
    if (entry?.qos === 2 && !entry.isReceived) {
      entry.isReceived = true;
      this.#store(entry);
    }
    const outlet = this.#outlet;
    this.#deps.commit.settled((failure) => {
      if (failure === undefined) outlet?.sendAck(ACK.pubrel, packetId);
    });
  }

  /** PUBCOMP. */
  complete(packetId: number): void {
    const entry = this.#inFlight.get(packetId);
    if (entry?.qos !== 2) return;
    this.#forget(entry);
    this.pump();
  }

  /** Other rights: what waits on a topic that may not be received any more is dropped. */
  keepOnly(mayReceive: (topic: string) => boolean): void {
    for (const entry of this.#waiting.values()) if (!mayReceive(entry.topic)) this.#forget(entry);
    this.#retained.keepOnly(({ topic }) => mayReceive(topic));
  }

  /** Ends the session: every row it has is deleted. */
  discard(): void {
    this.#outlet = undefined;
    this.#retained.clear();
    for (const entry of [...this.#waiting.values(), ...this.#inFlight.values()])
      this.#forget(entry);
  }

  #keyFor(counter: number, qos: Qos): string | undefined {
    if (qos === 0 || this.#persistentAs === undefined) return undefined;
    return queueKey(this.#persistentAs, counter);
  }

  /** Sends the retained messages that stand ahead of a message. False: not all could go. */
  #pumpRetained(before: number, outlet: Outlet): boolean {
    return this.#retained.pump(
      before,
      ({ qos }) =>
        qos === 0 ? !outlet.isClogged() : this.#inFlight.size < this.#deps.limits.inflight,
      (copy) => this.#sendRetained(copy.message(), copy.qos, outlet),
    );
  }

  #sendRetained(message: Message, qos: Qos, outlet: Outlet): number | undefined {
    if (qos === 0) {
      outlet.sendPublish(message, { qos, packetId: 0, dup: false });
      return undefined;
    }
    this.#lastCounter += 1;
    const counter = this.#lastCounter;
    // Of QoS 2 the id must outlive the gateway: the client takes another message for a repetition.
    const key = qos === 2 ? this.#keyFor(counter, qos) : undefined;
    const entry = newEntry(counter, message, qos, key);
    this.#count(entry);
    this.#send(entry, outlet);
    return counter;
  }

  #count(entry: QueueEntry): void {
    this.#bytes += entry.bytes;
    this.#deps.room.take();
  }

  #isReleased(entry: QueueEntry): boolean {
    return entry.counter <= this.#releasedThrough;
  }

  #isFull(message: Message): boolean {
    const { session_queue_messages: messages, session_queue_bytes: bytes } = this.#deps.limits;
    const { depth } = this;
    if (depth.messages >= messages || this.#deps.room.isGoneFor(depth.messages)) return true;
    return depth.bytes + message.payload.length > bytes;
  }

  /** Drops states that a newer one replaces. A state itself always finds room: there is one a topic. */
  #makeRoom(message: Message): boolean {
    for (const entry of this.#waiting.replaced) this.#supersede(entry);
    if (!message.isState) return !this.#isFull(message);
    const older = this.#waiting.latestState(message.topic);
    if (older !== undefined) this.#supersede(older);
    return true;
  }

  #supersede(entry: QueueEntry): void {
    this.#forget(entry);
    this.#deps.onDropped("superseded");
  }

  /** Never late: an action request goes out only while it is pending. */
  #mayGo(entry: QueueEntry): boolean {
    if (entry.request === undefined) return true;
    const may = this.#deps.deliverability(entry.request);
    if (may === "never") {
      this.#forget(entry);
      this.#deps.onDropped("expired");
    }
    return may === "deliver";
  }

  #send(entry: QueueEntry, outlet: Outlet): void {
    const message = this.#messageOf(entry);
    if (entry.qos === 0) {
      if (outlet.isClogged()) this.#deps.onDropped("clogged");
      else outlet.sendPublish(message, { qos: 0, packetId: 0, dup: false });
      this.#forget(entry);
      return;
    }
    const packetId = this.#packetIdFor(entry.counter);
    entry.packetId = packetId;
    this.#waiting.delete(entry);
    this.#inFlight.set(packetId, entry);
    const header = { qos: entry.qos, packetId, dup: entry.mayHaveBeenSent };
    if (entry.qos === 1) {
      outlet.sendPublish(message, header);
      return;
    }
    // The id is on disk before it is used: after a crash the same message must not get another.
    this.#store(entry);
    this.#deps.commit.settled((failure) => {
      if (failure === undefined && this.#outlet === outlet) outlet.sendPublish(message, header);
    });
  }

  #resend(entry: QueueEntry): void {
    if (entry.isReceived) {
      this.#outlet?.sendAck(ACK.pubrel, entry.packetId);
      return;
    }
    if (!this.#mayGo(entry)) return;
    const { qos, packetId } = entry;
    this.#outlet?.sendPublish(this.#messageOf(entry), { qos, packetId, dup: true });
  }

  #messageOf(entry: QueueEntry): Message {
    if (entry.message !== undefined) return entry.message;
    const row = entry.key === undefined ? undefined : this.#deps.commit.read(entry.key);
    assert(row !== undefined, "a message that is owed has its row");
    return readQueued(row).message;
  }

  #store(entry: QueueEntry): void {
    if (entry.key === undefined) return;
    this.#deps.commit.put(entry.key, writeQueued(this.#messageOf(entry), entry));
    entry.isIdStored = true;
  }

  #forget(entry: QueueEntry): void {
    if (entry.packetId === 0) this.#waiting.delete(entry);
    else this.#inFlight.delete(entry.packetId);
    this.#bytes -= entry.bytes;
    this.#deps.room.giveBack();
    this.#retained.acknowledged(entry.counter);
    if (entry.key !== undefined) this.#deps.commit.delete(entry.key);
  }

  /**
   * From the counter, which is in the key of the row: after a crash, too, a message goes with the id
   * it had. The window is far smaller than the ids there are, so one is free.
   */
  #packetIdFor(counter: number): number {
    let packetId = ((counter - 1) % PACKET_ID_MAX) + 1;
    while (this.#inFlight.has(packetId)) packetId = (packetId % PACKET_ID_MAX) + 1;
    return packetId;
  }
}
