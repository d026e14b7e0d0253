import { endRequest } from "../interactions/action-invocation.ts";
import { principalOf } from "../interactions/authentication.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { connectionObject, type DeviceConnections } from "../interactions/device-connection.ts";
import type { Publication } from "../interactions/publication.ts";
import { mayOnThing, type Principal } from "../thing/access.ts";
import type { Json } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import {
  connectionTopic,
  matchesFilter,
  namesConnection,
  propertyStatusTopic,
} from "../thing/topics.ts";
import type { Qos } from "./frame-kinds.ts";
import { mayReceive, mayReceiveFree } from "./grants.ts";
import { messageOf, type Message } from "./message.ts";
import type { RetainedCopy } from "./owed-retained.ts";
import type { RetainedMessages } from "./retained.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { GrantedSubscription } from "./subscriptions.ts";

type OutboundDeps = {
  readonly interactions: Pick<InteractionDeps, "store">;
  readonly sessions: Sessions;
  readonly retained: RetainedMessages;
  readonly online: Pick<DeviceConnections, "of">;
};

type Owed = { readonly session: Session; readonly counter: number };

/** Who is owed a message, and whose queue had no room for it. */
type Offered = { readonly owed: readonly Owed[]; readonly lost: readonly Session[] };

/**
 * From committed changes to subscribers. A message is offered to each session that matches while its
 * batch is open, and released when that batch is on disk.
 */
export class Outbound {
  readonly #deps: OutboundDeps;
  readonly #releaseLater: (owed: Owed) => void;
  /** Set last, because a lost action request makes another interaction. */
  #endRequestDeps: InteractionDeps | undefined;

  constructor(deps: OutboundDeps) {
    this.#deps = deps;
    this.#releaseLater = deps.interactions.store.commit.inBatches((owed, failure) => {
      if (failure === undefined) releaseAll(owed);
    });
  }

  /** Before the first connection: what sessions were still owed of retained messages is found anew. */
  start(interactions: InteractionDeps): void {
    this.#endRequestDeps = interactions;
    for (const session of this.#deps.sessions.all()) {
      if (session.retainedOwed.size > 0) this.#resumeRetained(session);
    }
  }

  /** Status of a Thing, to whoever may receive it. */
  publish(publication: Publication): void {
    const message = messageOf(publication);
    const offered = this.#offer(message, (principal) => mayReceive(principal, publication));
    const { request, thing } = publication;
    if (request === undefined || !this.#isUndelivered(thing, offered)) return;
    const { requests } = this.#deps.interactions.store;
    const found = requests.get(thing.number, request.name, request.moment);
    if (found === undefined || this.#endRequestDeps === undefined) return;
    endRequest(this.#endRequestDeps, found, {
      status: "failed",
      error: { type: "/problems/queue-full", title: "A queue is full", status: 503 },
    });
  }

  /** A message on a free topic. */
  forward({ topic, payload, qos }: Pick<Message, "topic" | "payload" | "qos">): void {
    const isState = false;
    const message: Message = { topic, payload, qos, retain: false, isState, request: undefined };
    this.#offer(message, (principal) => mayReceiveFree(principal, topic));
  }

  /**
   * Owes a session what new subscriptions get at once, with the retain flag [MQTT-3.3.1-6]: the state
   * of the properties and the retained messages of free topics that their filters match, as they are
   * now. Returns what lets them go, to be called when what was put so far is on disk.
   */
  oweRetained(session: Session, granted: readonly GrantedSubscription[]): () => void {
    const copies = this.#retainedFor(session, granted);
    const filters = granted.map(({ filter }) => filter);
    return this.#deps.sessions.oweRetained(session, filters, copies);
  }

  /** As after a SUBSCRIBE, but for what is in flight: at QoS 2 it keeps its id. */
  #resumeRetained(session: Session): void {
    const filters = [...session.retainedOwed];
    const granted = filters.flatMap((filter) => {
      const subscription = session.subscriptions.get(filter);
      return subscription === undefined ? [] : [{ filter, ...subscription }];
    });
    const copies = this.#retainedFor(session, granted).filter(
      ({ topic }) => !session.queue.isRetainedInFlight(topic),
    );
    this.#deps.sessions.oweRetained(session, filters, copies)();
  }

  #retainedFor(session: Session, granted: readonly GrantedSubscription[]): readonly RetainedCopy[] {
    const principal = this.#principalOf(session);
    if (principal === undefined) return [];
    const copies: RetainedCopy[] = [];
    for (const { matching, qos } of granted) {
      for (const copy of this.#states(matching, atMost(1, qos), principal)) copies.push(copy);
      this.#deps.retained.match(matching, (retained) => {
        const { topic } = retained;
        if (!mayReceiveFree(principal, topic)) return;
        const message = (): Message => {
          return { ...retained, retain: true, isState: false, request: undefined };
        };
        copies.push({ topic, qos: atMost(retained.qos, qos), message });
      });
    }
    return copies;
  }

  /** A device should have had it and none has. Who only watches does not count. */
  #isUndelivered(thing: Thing, { owed, lost }: Offered): boolean {
    const isDevice = (session: Session): boolean => {
      const principal = this.#principalOf(session);
      return principal !== undefined && mayOnThing(principal, thing.account, thing, "thing.report");
    };
    return lost.some(isDevice) && !owed.some(({ session }) => isDevice(session));
  }

  #offer(message: Message, may: (principal: Principal) => boolean): Offered {
    const owed: Owed[] = [];
    const lost: Session[] = [];
    for (const { session, qos } of this.#deps.sessions.match(message.topic)) {
      const principal = this.#principalOf(session);
      if (principal === undefined || !may(principal)) continue;
      const counter = session.queue.offer(message, atMost(message.qos, qos));
      if (counter === undefined) {
        if (qos !== 0) lost.push(session);
        continue;
      }
      const entry = { session, counter };
      owed.push(entry);
      this.#releaseLater(entry);
    }
    return { owed, lost };
  }

  #principalOf(session: Session): Principal | undefined {
    const credential = this.#deps.interactions.store.credentials.get(session.credential);
    return credential === undefined ? undefined : principalOf(credential);
  }

  /** Property values, and connections, that may be received and whose status topic the filter matches. */
  *#states(filter: string, qos: Qos, principal: Principal): Iterable<RetainedCopy> {
    const [root, account, tree, named] = filter.split("/");
    const { things, properties } = this.#deps.interactions.store;
    if (root !== "status" || account === undefined || tree !== "things") return;
    const isAll = named === "+" || named === "#";
    const one = named === undefined || isAll ? undefined : things.find(account, named);
    const candidates = isAll ? things.ofAccount(account) : one === undefined ? [] : [one];
    for (const thing of candidates) {
      if (!mayReceive(principal, { thing, about: "property" })) continue;
      if (namesConnection(filter)) {
        const topic = connectionTopic(thing);
        const { online } = this.#deps;
        const message = (): Message => retainedState(topic, connectionObject(online.of(thing)));
        if (matchesFilter(filter, topic)) yield { topic, qos, message };
      }
      for (const [name, { value }] of properties.ofThing(thing.number)) {
        const topic = propertyStatusTopic(thing, name);
        if (!matchesFilter(filter, topic)) continue;
        yield { topic, qos, message: () => retainedState(topic, { [name]: value }) };
      }
    }
  }
}

function retainedState(topic: string, content: Json): Message {
  const payload = Buffer.from(JSON.stringify(content));
  return { topic, payload, qos: 1, retain: true, isState: true, request: undefined };
}

/** Releases what was offered: from its end, so that the first of a session's covers the others. */
function releaseAll(owed: readonly Owed[]): void {
  for (const { session, counter } of owed.toReversed()) session.queue.release(counter);
}

function atMost(published: Qos, asked: Qos): Qos {
  return published < asked ? published : asked;
}
