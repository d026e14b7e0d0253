import { GatewayError } from "../errors.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { ownMember, requireObject } from "../interactions/payload.ts";
import { applyThingMessage } from "../interactions/thing-message.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Owed } from "../store/outbox-items.ts";
import type { Principal } from "../thing/access.ts";
import { isJsonObject, type Json } from "../thing/json.ts";
import { mergeElements } from "../thing/thing-description.ts";
import type { Thing } from "../thing/thing.ts";
import type { InboundTopic, StatusTopic } from "../thing/topics.ts";
import { Conflicts } from "./conflicts.ts";
import { noteEchoed, readUnechoed } from "./echo-place.ts";
import { LostValues } from "./lost-values.ts";
import type { DownMessage } from "./message.ts";
import { readSlot, sameDescription, slotOf, valuesOf } from "./owed-values.ts";
import { sameValue } from "./same-value.ts";

export type StatusDeps = {
  readonly interactions: InteractionDeps;
  readonly outbox: Pick<Outbox, "uplink" | "memory" | "owes">;
  readonly principal: Principal;
  /** Messages that are under way upwards at once, at most. */
  readonly window: number;
  /** A value that lost could not be set after all. */
  readonly onRefused: (error: GatewayError) => void;
};

/** What has become of a value: `unchanged`: it is the present one. */
export type Outcome = "applied" | "unchanged" | "echo" | "lost";

/** A value or a Thing Description as it came, and what it is compared by. */
type Arrived = {
  readonly thing: Thing;
  readonly slot: string;
  readonly value: Json;
  readonly same: string;
};

const EMPTY = Buffer.alloc(0);

/**
 * `peer`: follows what the gateway above says of values and Things. Its word counts unless a local
 * change stands against it; what it says is state, so that twice is as once.
 */
export class DownStatus {
  readonly #deps: StatusDeps;
  readonly #conflicts = new Conflicts();
  readonly #lost: LostValues;
  /** The newest change that upstream has acknowledged. */
  #newest = 0;
  #notedMs = 0;
  /** The start before may have sent these already: of each a second echo may come. */
  #doubtful: { from: number; readonly through: number } | undefined;
  readonly #newestAtStart: number;

  constructor(deps: StatusDeps) {
    this.#deps = deps;
    this.#lost = new LostValues(deps.outbox.memory);
    this.#newestAtStart = deps.interactions.store.changes.sequence;
  }

  /** Values that wait for an echo, and values that lost. */
  get counts(): { readonly awaited: number; readonly lost: number } {
    return { awaited: this.#conflicts.awaited, lost: this.#lost.size };
  }

  /**
   * Of a property or a Thing Description.
   * @throws GatewayError as the interaction it means.
   */
  take(message: DownMessage, topic: StatusTopic, body: Json): Outcome {
    const { store } = this.#deps.interactions;
    const thing = store.things.find(topic.account, topic.thing);
    if (!("name" in topic)) {
      if (thing !== undefined) return this.#follow(this.#description(thing, body), message.retain);
      this.#apply({ kind: "description", account: topic.account, thing: topic.thing }, body);
      return "applied";
    }
    if (thing === undefined) {
      const detail = `there is no Thing ${topic.account}/${topic.thing}`;
      throw new GatewayError("unknown-thing", detail);
    }
    const value = ownMember(requireObject(body, "an object of one value"), topic.name);
    if (value === undefined) {
      throw new GatewayError("malformed", `expected an object with the member ${topic.name}`);
    }
    const slot = slotOf(thing.number, topic.name);
    return this.#follow({ thing, slot, value, same: sameValue(value) }, message.retain);
  }

  /** Something goes up: it will come back. */
  sent(owed: Owed): void {
    const { seq } = owed;
    this.#doubtful ??= { from: seq, through: seq + this.#deps.window - 1 };
    const isDoubtful = seq >= this.#doubtful.from && seq <= this.#doubtful.through;
    if (isDoubtful) this.#doubtful.from = seq + 1;
    for (const value of valuesOf(owed)) {
      if (isDoubtful && value.sequence <= this.#newestAtStart) this.#conflicts.sent(value, seq);
      this.#conflicts.sent(value, seq);
    }
  }

  acknowledged(owed: Owed): void {
    const now = this.#deps.interactions.clock.monotonicMs();
    for (const { slot, sequence } of valuesOf(owed)) {
      this.#conflicts.acknowledged(slot, owed.seq, now);
      this.#newest = Math.max(this.#newest, sequence);
      this.#settle(slot);
    }
  }

  /** Before the first line: what went up before the last start and may not have come back. */
  async recover(): Promise<void> {
    const { interactions, outbox } = this.#deps;
    this.#newest = await readUnechoed(interactions.store, outbox, (value) =>
      this.#conflicts.wasSent(value),
    );
  }

  lineOpened(): void {
    this.#conflicts.lineOpened(this.#deps.interactions.clock.monotonicMs());
  }

  lineClosed(): void {
    this.#conflicts.lineClosed();
    this.#note();
  }

  /** Sets values that lost against echoes that will not come any more. To be called now and then. */
  look(): void {
    const now = this.#deps.interactions.clock.monotonicMs();
    this.#conflicts.sweep(now);
    for (const slot of this.#lost.slots()) this.#settle(slot);
    if (now - this.#notedMs >= FIXED_LIMITS.uplinkEchoMsMax) this.#note();
  }

  /** Late is harmless: what has come back is awaited once more, for a time. */
  #note(): void {
    this.#notedMs = this.#deps.interactions.clock.monotonicMs();
    const { oldest } = this.#conflicts;
    const through = oldest === undefined ? this.#newest : oldest - 1;
    noteEchoed(this.#deps.outbox.memory, through);
  }

  #description(thing: Thing, body: Json): Arrived {
    const value = requireObject(body, "a Thing Description");
    return { thing, slot: slotOf(thing.number), value, same: sameDescription(value) };
  }

  #follow(arrived: Arrived, isRetained: boolean): Outcome {
    const { slot, value, same } = arrived;
    const verdict = this.#conflicts.arrived(slot, same, this.#isUnacknowledged(slot));
    if (verdict !== "apply") {
      const since = this.#deps.interactions.store.changes.sequence;
      // What is taken for an echo may be another's equal value: then it is the last word, too.
      this.#lost.keep(slot, { value, since }, { onDisk: verdict === "lost" });
      this.#settle(slot);
      return verdict;
    }
    if (this.#saysNothing(arrived, isRetained)) return "unchanged";
    this.#set(arrived);
    return "applied";
  }

  /** A value set again is news, as on the LAN: but not if it is only shown, or may be our own. */
  #saysNothing(arrived: Arrived, isRetained: boolean): boolean {
    const { slot } = arrived;
    const now = this.#deps.interactions.clock.monotonicMs();
    const isDescription = readSlot(slot).name === undefined;
    const isState = isRetained || isDescription || this.#conflicts.mayEcho(slot, now);
    return isState && this.#isPresent(arrived);
  }

  #isUnacknowledged(slot: string): boolean {
    const { outbox } = this.#deps;
    const held = this.#held(slot);
    if (held === undefined) return false;
    return outbox.owes(held.class, held.sequence);
  }

  /** The present value's change. */
  #held(slot: string) {
    const { things, properties } = this.#deps.interactions.store;
    const { thing: number, name } = readSlot(slot);
    if (name === undefined) {
      const thing = things.byNumber(number);
      return thing && ({ class: "thing", sequence: thing.revision } as const);
    }
    const state = properties.get(number, name);
    return state && ({ class: "property", sequence: state.sequence } as const);
  }

  /** Nothing is awaited any more: the last to arrive wins, unless there is a newer value here. */
  #settle(slot: string): void {
    const { clock, store } = this.#deps.interactions;
    const lost = this.#lost.get(slot);
    if (lost === undefined || this.#isUnacknowledged(slot)) return;
    if (!this.#conflicts.mayLeave(slot, clock.monotonicMs())) return;
    this.#lost.forget(slot);
    const thing = store.things.byNumber(readSlot(slot).thing);
    const held = this.#held(slot);
    if (thing === undefined || (held !== undefined && held.sequence > lost.since)) return;
    const { value } = lost;
    const isDescription = readSlot(slot).name === undefined && isJsonObject(value);
    const same = isDescription ? sameDescription(value) : sameValue(value);
    const arrived = { thing, slot, value, same };
    if (this.#isPresent(arrived)) return;
    try {
      this.#set(arrived);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#deps.onRefused(error);
    }
  }

  #isPresent({ thing, slot, value, same }: Arrived): boolean {
    const { name } = readSlot(slot);
    if (name !== undefined) {
      const state = this.#deps.interactions.store.properties.get(thing.number, name);
      return state !== undefined && sameValue(state.value) === same;
    }
    if (!isJsonObject(value)) return false;
    const merged = mergeElements(thing.description, value);
    return sameDescription(merged) === sameDescription(thing.description);
  }

  #set({ thing: { account, id: thing }, slot, value }: Arrived): void {
    const { name } = readSlot(slot);
    if (name === undefined) this.#apply({ kind: "description", account, thing }, value);
    else this.#apply({ kind: "property", account, thing, name }, { [name]: value });
  }

  #apply(to: InboundTopic, body: Json): void {
    const { interactions, principal } = this.#deps;
    applyThingMessage(interactions, { principal, to, body, payload: EMPTY });
  }
}
