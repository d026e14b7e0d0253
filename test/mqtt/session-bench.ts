import type { Deliverability } from "../../src/interactions/action-deadlines.ts";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import type { Message } from "../../src/mqtt/message.ts";
import type { RetainedCopy } from "../../src/mqtt/owed-retained.ts";
import { QueueRoom } from "../../src/mqtt/queue-room.ts";
import { readQueued } from "../../src/mqtt/session-rows.ts";
import { SessionQueue, type SessionDeps } from "../../src/mqtt/session.ts";
import { HeldCommit } from "./held-commit.ts";
import { Outbox } from "./outbox.ts";

const SESSION = 7;

/** A queue whose rows are on disk when the test says. */
export class Bench {
  readonly commit = new HeldCommit();
  readonly dropped: string[] = [];
  readonly deps: SessionDeps;
  deliverability: Deliverability = "deliver";
  queue: SessionQueue;
  /** Times it was told that no retained message is owed any more. */
  retainedDelivered = 0;

  /** `room`: what it shares with others; it has more than enough if left out. */
  constructor(
    limits: Partial<SessionDeps["limits"]> = {},
    persistent = true,
    room = new QueueRoom({ queued_messages: 1_000_000 }, () => 1),
  ) {
    this.deps = {
      commit: this.commit,
      limits: {
        inflight: 100,
        session_queue_messages: 1_000,
        session_queue_bytes: 100_000,
        ...limits,
      },
      room,
      deliverability: () => this.deliverability,
      onDropped: (cause) => this.dropped.push(cause),
    };
    this.queue = new SessionQueue(this.deps, persistent ? SESSION : undefined);
  }

  sync(): void {
    this.commit.sync();
  }

  /** Offers, and releases when it is on disk, as `Outbound` does. */
  offer(topic: string, payload: string, more: Partial<Message> = {}) {
    const message: Message = {
      topic,
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      isState: false,
      request: undefined,
      ...more,
    };
    const counter = this.queue.offer(message, message.qos);
    if (counter === undefined) return false;
    this.commit.settled((failure) => {
      if (failure === undefined) this.queue.release(counter);
    });
    return true;
  }

  /** Owes a retained message on each topic, from now on or, held, once what it returns is called. */
  oweRetained(topics: readonly string[], qos: Qos = 1): () => void {
    const copies = topics.map((topic): RetainedCopy => {
      const payload = Buffer.from("retained");
      const kind = { retain: true, isState: false, request: undefined };
      return { topic, qos, message: () => ({ topic, payload, qos, ...kind }) };
    });
    return this.queue.oweRetained(copies, () => (this.retainedDelivered += 1));
  }

  attach(): Outbox {
    const outbox = new Outbox();
    this.queue.attach(outbox);
    return outbox;
  }

  /** As after a restart: a new queue from the rows on disk. `wasConnected`: after a crash. */
  restart(wasConnected = false): void {
    this.queue = new SessionQueue(this.deps, SESSION);
    const keys = [...this.commit.stored.keys()].filter((key) => key.includes("!q:")).sort();
    keys.forEach((key) => {
      const row = this.commit.stored.get(key) ?? "";
      this.queue.restore(
        Number.parseInt(key.slice(-11), 32),
        readQueued(row),
        row.length,
        wasConnected,
      );
    });
  }

  get rows(): number {
    return [...this.commit.stored.keys()].filter((key) => key.includes("!q:")).length;
  }
}
