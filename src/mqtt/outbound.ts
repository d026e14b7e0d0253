import { endRequest } from "../interactions/action-invocation.ts";
import { principalOf } from "../interactions/authentication.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import type { Publication } from "../interactions/publication.ts";
import { mayOnThing, type Principal } from "../thing/access.ts";
import type { Thing } from "../thing/thing.ts";
import { matchesFilter, propertyStatusTopic } from "../thing/topics.ts";
import type { Qos } from "./frame-kinds.ts";
import { mayReceive, mayReceiveFree } from "./grants.ts";
import { messageOf, type Message } from "./message.ts";
import type { RetainedMessages } from "./retained.ts";
import type { Session, Sessions } from "./sessions.ts";

type OutboundDeps = {
  readonly interactions: Pick<InteractionDeps, "store">;
  readonly sessions: Sessions;
  readonly retained: RetainedMessages;
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
  /** Set last, because a lost action request makes another interaction. */
  #endRequestDeps: InteractionDeps | undefined;

  constructor(deps: OutboundDeps) {
    this.#deps = deps;
  }

  start(interactions: InteractionDeps): void {
    this.#endRequestDeps = interactions;
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
  forward(given: Pick<Message, "topic" | "payload" | "qos">): void {
    const message: Message = { ...given, retain: false, isState: false, request: undefined };
    this.#offer(message, (principal) => mayReceiveFree(principal, message.topic));
  }

  /**
   * What a new subscription gets at once, with the retain flag [MQTT-3.3.1-6]: the state of the
   * properties and the retained messages of free topics that its filter matches.
   */
  sendRetained(session: Session, matching: string, qos: Qos): void {
    const principal = this.#principalOf(session);
    if (principal === undefined) return;
    const messages: Message[] = [];
    for (const { topic, payload, thing } of this.#states(matching)) {
      if (mayReceive(principal, { thing, about: "property" })) {
        const kind = { isState: true, request: undefined };
        messages.push({ topic, payload: Buffer.from(payload), qos: 1, retain: true, ...kind });
      }
    }
    this.#deps.retained.match(matching, (retained) => {
      if (!mayReceiveFree(principal, retained.topic)) return;
      messages.push({ ...retained, retain: true, isState: false, request: undefined });
    });
    const owed: Owed[] = [];
    for (const message of messages) {
      const asked = atMost(message.qos, qos);
      // Of QoS 2 the id must outlive the gateway: the client takes another message for a repetition.
      const counter = session.queue.offer(message, asked, { volatile: asked !== 2 });
      if (counter !== undefined) owed.push({ session, counter });
    }
    // While the disk takes nothing a reader is shown what there is, as over HTTP. A store that has
    // failed for good ends the connection.
    this.#deps.interactions.store.commit.caughtUp().then(
      () => release(owed),
      () => undefined,
    );
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
    for (const [session, qos] of this.#deps.sessions.match(message.topic)) {
      const principal = this.#principalOf(session);
      if (principal === undefined || !may(principal)) continue;
      const counter = session.queue.offer(message, atMost(message.qos, qos), { volatile: false });
      if (counter !== undefined) owed.push({ session, counter });
      else if (qos !== 0) lost.push(session);
    }
    this.#releaseWhenSettled(owed);
    return { owed, lost };
  }

  #releaseWhenSettled(owed: readonly Owed[]): void {
    if (owed.length === 0) return;
    const { commit } = this.#deps.interactions.store;
    commit.settled((failure) => {
      if (failure === undefined) release(owed);
    });
  }

  #principalOf(session: Session): Principal | undefined {
    const credential = this.#deps.interactions.store.credentials.get(session.credential);
    return credential === undefined ? undefined : principalOf(credential);
  }

  /** Property values whose status topic the filter matches. */
  *#states(
    filter: string,
  ): Iterable<{ readonly topic: string; readonly payload: string; readonly thing: Thing }> {
    const [root, account, tree, named] = filter.split("/");
    const { things, properties } = this.#deps.interactions.store;
    if (root !== "status" || account === undefined || tree !== "things") return;
    const isAll = named === "+" || named === "#";
    const one = named === undefined || isAll ? undefined : things.find(account, named);
    const candidates = isAll ? things.ofAccount(account) : one === undefined ? [] : [one];
    for (const thing of candidates) {
      for (const [name, { value }] of properties.ofThing(thing.number)) {
        const topic = propertyStatusTopic(thing, name);
        if (!matchesFilter(filter, topic)) continue;
        yield { topic, payload: JSON.stringify({ [name]: value }), thing };
      }
    }
  }
}

function release(owed: readonly Owed[]): void {
  for (const { session, counter } of owed) session.queue.release(counter);
}

function atMost(published: Qos, asked: Qos): Qos {
  return published < asked ? published : asked;
}
