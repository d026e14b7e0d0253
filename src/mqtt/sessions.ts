import type { CancelTimer, Clock } from "../clock.ts";
import type { Store } from "../store/store.ts";
import type { Limits } from "../limits.ts";
import { isReservedTree, namesConnection, parseStatusTopic } from "../thing/topics.ts";
import { FilterTrie } from "./filter-trie.ts";
import { filterById } from "./grants.ts";
import type { Qos } from "./frame-kinds.ts";
import { QueueRoom } from "./queue-room.ts";
import type { RetainedCopy } from "./owed-retained.ts";
import { TopicMemo } from "./topic-memo.ts";
import { SessionQueue, type SessionDeps } from "./session.ts";
import {
  incomingKey,
  LAST_SESSION_KEY,
  sessionKey,
  writeSession,
  type MqttRows,
} from "./session-rows.ts";

/** One client's session: MQTT 3.1.1 §4.1. */
export type Session = {
  readonly clientId: string;
  /** ULID of the credential it belongs to. */
  readonly credential: string;
  /** `undefined`: a clean session, which ends with its connection. */
  readonly number: number | undefined;
  /** Granted QoS by topic filter, as the client wrote it. */
  readonly subscriptions: Map<string, Subscription>;
  /** Of those, the filters whose retained messages are not all acknowledged. */
  readonly retainedOwed: Set<string>;
  /** QoS 2 packet ids received and not released [MQTT-4.3.3-2]. */
  readonly incoming: Set<number>;
  readonly queue: SessionQueue;
  /** Age of the store when the last connection ended; `undefined` while one is open. */
  leftAtAgeMs: number | undefined;
  /** That connection was open when the gateway ended: nobody knows what was sent last. */
  isCutOff: boolean;
  /** It was there before its present connection: CONNACK says "session present". */
  isResumed: boolean;
};

export type Subscription = {
  readonly session: Session;
  readonly qos: Qos;
  /** The filter to match with: of a Thing's id where the client wrote its uid. */
  readonly matching: string;
  /** It lies in the gateway's own trees: a filter that only reaches into them gets free topics. */
  readonly isReserved: boolean;
};

/** A session that a topic goes to, and the highest QoS it asked for. */
export type Match = { readonly session: Session; readonly qos: Qos };

type SessionsDeps = Omit<SessionDeps, "room"> & {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
};

const EXPIRY_LOOK_EVERY_MS = 60_000;

/** All sessions, by client id, and their subscriptions, by topic filter. */
export class Sessions {
  readonly #deps: SessionsDeps & SessionDeps;
  readonly #byClientId = new Map<string, Session>();
  readonly #subscriptions = new FilterTrie<Subscription>();
  /** Holds until a subscription changes. */
  readonly #matches = new TopicMemo<readonly Match[]>();
  #lastNumber: number;
  #persistent = 0;
  #cancelTimer: CancelTimer | undefined;

  constructor(deps: SessionsDeps, rows: MqttRows) {
    this.#deps = { ...deps, room: new QueueRoom(deps.limits, () => this.#byClientId.size) };
    this.#lastNumber = rows.lastSession;
    const byNumber = new Map<number, Session>();
    for (const { number, row } of rows.sessions) {
      const session = this.#make(row.clientId, row.credential, number);
      session.leftAtAgeMs = row.leftAtAgeMs;
      session.isCutOff = row.isCutOff ?? row.leftAtAgeMs === undefined;
      for (const [filter, qos] of row.subscriptions) {
        this.#add(session, filter, qos, filterById(deps.store, filter));
      }
      for (const filter of row.retainedOwed ?? []) session.retainedOwed.add(filter);
      byNumber.set(number, session);
    }
    for (const { session, counter, row, bytes } of rows.queued) {
      const { queue, isCutOff } = byNumber.get(session) ?? {};
      queue?.restore(counter, row, bytes, isCutOff === true);
    }
    for (const { session, packetId } of rows.incoming)
      byNumber.get(session)?.incoming.add(packetId);
  }

  /** Sessions in all, those of them that outlive their connection, and what all are owed. */
  get counts(): {
    readonly all: number;
    readonly persistent: number;
    readonly subscriptions: number;
    readonly queued: number;
  } {
    return {
      all: this.#byClientId.size,
      persistent: this.#persistent,
      subscriptions: this.#subscriptions.size,
      queued: this.#deps.room.messages,
    };
  }

  /** Before the first connection. */
  startExpiry(): void {
    // On disk, or each start would count anew for a client that never returns.
    for (const session of this.#byClientId.values()) {
      if (session.leftAtAgeMs === undefined) this.#markLeft(session);
    }
    const look = (): void => {
      this.#cancelTimer = this.#deps.clock.after(EXPIRY_LOOK_EVERY_MS, () => {
        this.expire();
        look();
      });
    };
    look();
  }

  stopExpiry(): void {
    this.#cancelTimer?.();
  }

  /** Ends the sessions whose client has been away for too long. */
  expire(): void {
    const before = this.#deps.store.retention.ageMs - this.#deps.limits.session_expiry_s * 1000;
    for (const session of [...this.#byClientId.values()]) {
      if (session.leftAtAgeMs !== undefined && session.leftAtAgeMs <= before) this.discard(session);
    }
  }

  get(clientId: string): Session | undefined {
    return this.#byClientId.get(clientId);
  }

  all(): Iterable<Session> {
    return this.#byClientId.values();
  }

  ofCredential(ulid: string): readonly Session[] {
    return [...this.#byClientId.values()].filter((session) => session.credential === ulid);
  }

  /** There is room for one more session that outlives its connection. */
  get hasRoom(): boolean {
    return this.#persistent < this.#deps.limits.sessions;
  }

  /**
   * The session for a CONNECT [MQTT-3.1.2-4..6]: with `clean` a new one, whatever there was. The rows
   * are in the open batch.
   */
  open(clientId: string, credential: string, clean: boolean): Session {
    const before = this.#byClientId.get(clientId);
    if (before !== undefined && !clean && before.number !== undefined) {
      before.leftAtAgeMs = undefined;
      before.isCutOff = false;
      before.isResumed = true;
      this.#write(before);
      return before;
    }
    if (before !== undefined) this.discard(before);
    const number = clean ? undefined : this.#takeNumber();
    const session = this.#make(clientId, credential, number);
    this.#write(session);
    return session;
  }

  /** The connection is gone: a clean session ends, another waits for its client. */
  leave(session: Session): void {
    session.queue.detach();
    if (this.#byClientId.get(session.clientId) !== session) return;
    if (session.number === undefined) {
      this.discard(session);
      return;
    }
    this.#markLeft(session);
  }

  /** Ends a session: its subscriptions, its queue and its rows. */
  discard(session: Session): void {
    if (this.#byClientId.get(session.clientId) !== session) return;
    this.#byClientId.delete(session.clientId);
    for (const subscription of session.subscriptions.values()) {
      this.#subscriptions.remove(subscription.matching, subscription);
    }
    this.#matches.clear();
    session.subscriptions.clear();
    session.queue.discard();
    if (session.number === undefined) return;
    this.#persistent -= 1;
    for (const packetId of session.incoming) {
      this.#deps.commit.delete(incomingKey(session.number, packetId));
    }
    this.#deps.commit.delete(sessionKey(session.number));
  }

  /** Adds subscriptions or changes their QoS; the row is in the open batch. */
  subscribe(
    session: Session,
    granted: readonly { readonly filter: string; readonly matching: string; readonly qos: Qos }[],
  ): void {
    for (const { filter, matching, qos } of granted) this.#add(session, filter, qos, matching);
    this.#write(session);
  }

  unsubscribe(session: Session, filters: readonly string[]): void {
    for (const filter of filters) {
      this.#remove(session, filter);
      session.retainedOwed.delete(filter);
    }
    this.#write(session);
  }

  /**
   * Owes a session the retained messages of filters it has just subscribed to; they go out once what
   * is returned is called. That they are owed is in the open batch, in the session's own row: after a
   * crash they are looked for anew.
   */
  oweRetained(
    session: Session,
    filters: readonly string[],
    copies: readonly RetainedCopy[],
  ): () => void {
    if (copies.some(({ qos }) => qos !== 0)) {
      for (const filter of filters) session.retainedOwed.add(filter);
      this.#write(session);
    }
    return session.queue.oweRetained(copies, () => {
      if (session.retainedOwed.size === 0) return;
      session.retainedOwed.clear();
      this.#write(session);
    });
  }

  /** The sessions that a topic goes to, each with the highest QoS it asked for [MQTT-3.3.5-1]. */
  match(topic: string): readonly Match[] {
    return this.#matches.of(topic, this.#find);
  }

  readonly #find = (topic: string): readonly Match[] => {
    const found = new Map<Session, Qos>();
    const ofReserved = isReservedTree(topic);
    const isConnection = parseStatusTopic(topic)?.kind === "connection";
    this.#subscriptions.match(topic, ({ session, qos, isReserved, matching }) => {
      if (isReserved !== ofReserved) return;
      if (isConnection && !namesConnection(matching)) return;
      const before = found.get(session);
      if (before === undefined || before < qos) found.set(session, qos);
    });
    return [...found].map(([session, qos]) => ({ session, qos }));
  };

  /** Remembers a QoS 2 packet id until PUBREL, in the batch of what the packet changed. */
  rememberIncoming(session: Session, packetId: number): void {
    session.incoming.add(packetId);
    if (session.number === undefined) return;
    this.#deps.commit.put(incomingKey(session.number, packetId), "");
  }

  releaseIncoming(session: Session, packetId: number): void {
    if (!session.incoming.delete(packetId) || session.number === undefined) return;
    this.#deps.commit.delete(incomingKey(session.number, packetId));
  }

  #make(clientId: string, credential: string, number: number | undefined): Session {
    const session: Session = {
      clientId,
      credential,
      number,
      subscriptions: new Map(),
      retainedOwed: new Set(),
      incoming: new Set(),
      queue: new SessionQueue(this.#deps, number),
      leftAtAgeMs: undefined,
      isCutOff: false,
      isResumed: false,
    };
    this.#byClientId.set(clientId, session);
    if (number !== undefined) this.#persistent += 1;
    return session;
  }

  #add(session: Session, filter: string, qos: Qos, matching: string): void {
    this.#remove(session, filter);
    const isReserved = isReservedTree(matching);
    const subscription: Subscription = { session, qos, matching, isReserved };
    session.subscriptions.set(filter, subscription);
    this.#subscriptions.add(matching, subscription);
    this.#matches.clear();
  }

  #remove(session: Session, filter: string): void {
    const subscription = session.subscriptions.get(filter);
    if (subscription === undefined) return;
    session.subscriptions.delete(filter);
    this.#subscriptions.remove(subscription.matching, subscription);
    this.#matches.clear();
  }

  #markLeft(session: Session): void {
    session.leftAtAgeMs = this.#deps.store.retention.ageMs;
    this.#write(session);
  }

  #takeNumber(): number {
    this.#lastNumber += 1;
    this.#deps.commit.put(LAST_SESSION_KEY, String(this.#lastNumber));
    return this.#lastNumber;
  }

  #write(session: Session): void {
    const { number, clientId, credential, subscriptions, retainedOwed } = session;
    if (number === undefined) return;
    const { leftAtAgeMs, isCutOff } = session;
    const row = {
      clientId,
      credential,
      subscriptions: [...subscriptions].map(([filter, { qos }]): [string, Qos] => [filter, qos]),
      ...(leftAtAgeMs === undefined ? {} : { leftAtAgeMs }),
      ...(isCutOff ? { isCutOff } : {}),
      ...(retainedOwed.size === 0 ? {} : { retainedOwed: [...retainedOwed] }),
    };
    this.#deps.commit.put(sessionKey(number), writeSession(row));
  }
}
