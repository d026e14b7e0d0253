import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Owed, OutboxStream } from "../store/outbox-items.ts";
import type { Outbox } from "../store/outbox.ts";
import { Asides } from "./asides.ts";
import { LineFailure, MessageFailure } from "./line-failure.ts";
import { packetIdOf, type Settled } from "./line-flight.ts";
import type { Line } from "./line.ts";
import type { UpMessage } from "./message.ts";
import type { Rate } from "./rate.ts";
import type { SentBefore } from "./sent-before.ts";
import type { UpOutcome } from "./shapes.ts";
import { hasRoom, type Window } from "./window.ts";

export type DrainDeps = {
  readonly line: Pick<Line, "send" | "inFlight">;
  readonly outbox: Pick<Outbox, "take" | "acknowledge" | "giveUp" | "onOwed">;
  /** The first goes first; the others have at most half of the window. */
  readonly streams: readonly OutboxStream[];
  /** It may change. */
  readonly window: () => Window;
  readonly rate: Rate;
  readonly clock: Pick<Clock, "after">;
  readonly toMessages: (owed: Owed) => UpOutcome;
  readonly sentBefore: SentBefore;
  readonly onSent: (owed: Owed) => void;
  /** Upstream has it, or never will; the outbox knows. */
  readonly onAcknowledged: (owed: Owed) => void;
  /** Upstream refused what is owed, and may take it later: the line cannot go on in order. */
  readonly onRefused: (failure: LineFailure) => void;
};

/** Something that is owed, on its way. */
type Unit = {
  readonly owed: Owed;
  readonly messages: readonly UpMessage[];
  /** Messages given to the line so far, and those it has settled. */
  given: number;
  settled: number;
  isGivenUp: boolean;
};

type Stream = {
  readonly name: OutboxStream;
  /** Messages of it that may be under way. */
  readonly share: number;
  inFlight: number;
  /** Taken from the outbox. */
  ready: Owed[];
  isTaking: boolean;
  /** Nothing was owed when it was last asked. */
  isDry: boolean;
  /** In order, from the first that is not acknowledged. */
  readonly units: Unit[];
};

/** MQTT 5: it will not take this message whenever it is sent. */
const NEVER: Readonly<Record<number, "too-large" | "undeliverable">> = {
  0x90: "undeliverable", // topic name invalid
  0x95: "too-large",
  0x99: "undeliverable", // payload format invalid
};
/** Made and sent at once; then devices and panels have their turn. Some 2 ms. */
const MESSAGES_A_TURN = 50;
/** After a read of the store that failed. */
const TAKE_AGAIN_MS = 1_000;

/**
 * Sends what is owed over one line: in order, as much at once as the window and the rate allow.
 *
 * Invariant: the outbox is told of acknowledgements in the order of its numbers, whatever the order in
 * which they come. So what a next line sends again begins at the first that is missing, and of two
 * values of a property the newer one is never followed by the older alone.
 */
export class Drain {
  readonly #deps: DrainDeps;
  readonly #streams: readonly Stream[];
  readonly #asides: Asides;
  readonly #unlisten: () => void;
  #cancelWait: CancelTimer = () => undefined;
  #isPumping = false;
  #isHalted = false;
  /** Messages that may still be sent in this turn. */
  #turn = MESSAGES_A_TURN;

  constructor(deps: DrainDeps) {
    this.#deps = deps;
    const { messages } = deps.window();
    this.#streams = deps.streams.map((name, nth) => ({
      name,
      share: nth === 0 ? messages : Math.max(1, Math.floor(messages / 2)),
      inFlight: 0,
      ready: [],
      isTaking: false,
      isDry: false,
      units: [],
    }));
    this.#asides = new Asides(deps.line, () => this.#pump());
    this.#unlisten = deps.outbox.onOwed(() => {
      for (const stream of this.#streams) stream.isDry = false;
      this.#pump();
    });
  }

  start(): void {
    this.#pump();
  }

  /** The first that is owed and not acknowledged, if it was given to the line. */
  get first(): { readonly owed: Owed; readonly topic: string } | undefined {
    const [unit] = this.#streams.flatMap(({ units }) => units.slice(0, 1));
    const topic = unit?.messages[0]?.topic;
    return unit === undefined || topic === undefined ? undefined : { owed: unit.owed, topic };
  }

  /** Sends a message that is not owed, before what is. False: there are too many of them. */
  tell(message: UpMessage, settled: Settled = () => undefined): boolean {
    if (this.#isHalted) return false;
    const isTaken = this.#asides.add(message, settled);
    this.#pump();
    return isTaken;
  }

  /** Sends nothing more of what is owed; what is under way is still acknowledged. */
  halt(): void {
    this.#isHalted = true;
    this.#unlisten();
    this.#cancelWait();
  }

  /** Sends what can be sent now. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#asides.send(() => this.#hasRoom());
    if (!this.#isHalted) {
      for (const stream of this.#streams) this.#send(stream);
    }
    this.#isPumping = false;
  }

  readonly #nextTurn = (): void => {
    const isSpent = this.#turn <= 0;
    this.#turn = MESSAGES_A_TURN;
    if (isSpent) this.#pump();
  };

  #maySend({ inFlight, share }: Stream): boolean {
    return inFlight < share && this.#hasRoom();
  }

  #hasRoom(): boolean {
    return hasRoom(this.#deps.window(), this.#deps.line.inFlight);
  }

  #send(stream: Stream): void {
    const { window, rate } = this.#deps;
    while (!this.#isHalted && this.#turn > 0 && this.#maySend(stream)) {
      const unit = this.#next(stream);
      if (unit === undefined) break;
      const waitMs = rate.waitMs();
      if (waitMs > 0) {
        this.#wait(waitMs);
        break;
      }
      this.#give(stream, unit);
    }
    if (stream.ready.length < window().messages) this.#take(stream);
  }

  /** A unit with a message to send. */
  #next(stream: Stream): Unit | undefined {
    const last = stream.units.at(-1);
    if (last !== undefined && last.given < last.messages.length && !last.isGivenUp) return last;
    for (;;) {
      const owed = stream.ready.shift();
      if (owed === undefined) return undefined;
      const outcome = this.#deps.toMessages(owed);
      const messages = outcome.kind === "messages" ? outcome.messages : [];
      const unit: Unit = { owed, messages, given: 0, settled: 0, isGivenUp: false };
      stream.units.push(unit);
      if (messages.length > 0) return unit;
      if (outcome.kind === "undeliverable") this.#giveUp(unit, "undeliverable");
      this.#advance(stream);
    }
  }

  #give(stream: Stream, unit: Unit): void {
    const { line, rate, sentBefore, onSent } = this.#deps;
    const message = unit.messages[unit.given];
    if (message === undefined) return;
    if (this.#turn === MESSAGES_A_TURN) setImmediate(this.#nextTurn);
    this.#turn -= 1;
    const { seq } = unit.owed;
    const nth = unit.given;
    unit.given += 1;
    stream.inFlight += 1;
    if (nth === 0) onSent(unit.owed);
    rate.take(message.payload.length);
    const before = sentBefore.idOf(seq, nth);
    // What has several messages sends the others under ids that are free.
    const packetId = before ?? (nth === 0 ? packetIdOf(seq) : undefined);
    const dup = before !== undefined || sentBefore.mayHaveBeen(seq);
    const sentWith = line.send(message, { packetId, dup }, (failure) =>
      this.#settle(stream, unit, message, failure),
    );
    if (sentWith > 0) sentBefore.remember(seq, nth, sentWith);
  }

  #settle(
    stream: Stream,
    unit: Unit,
    message: UpMessage,
    failure: LineFailure | MessageFailure | undefined,
  ): void {
    // The next line sends it again.
    if (failure instanceof LineFailure) return;
    stream.inFlight -= 1;
    if (failure !== undefined) {
      const cause = failure.code === undefined ? "too-large" : NEVER[failure.code];
      if (cause === undefined) {
        // It stays unsettled, and so is the first that the next line sends.
        this.halt();
        const words = `${failure.message}, to publish to ${message.topic}`;
        this.#deps.onRefused(new LineFailure("refused", words, { cause: failure }));
        return;
      }
      this.#giveUp(unit, cause);
    }
    unit.settled += 1;
    this.#advance(stream);
    this.#pump();
  }

  #giveUp(unit: Unit, cause: "too-large" | "undeliverable"): void {
    if (unit.isGivenUp) return;
    unit.isGivenUp = true;
    this.#deps.outbox.giveUp(unit.owed.seq, cause);
  }

  /** What is acknowledged from the first on is done. */
  #advance({ units }: Stream): void {
    const { outbox, sentBefore, onAcknowledged } = this.#deps;
    for (;;) {
      const [first] = units;
      if (first === undefined) return;
      const isComplete = first.isGivenUp || first.given === first.messages.length;
      if (!isComplete || first.settled < first.given) return;
      units.shift();
      const { owed } = first;
      sentBefore.forget(owed.seq);
      // In its place a gap is owed, under the same number.
      if (!first.isGivenUp) outbox.acknowledge(owed.seq);
      onAcknowledged(owed);
    }
  }

  #take(stream: Stream): void {
    if (stream.isTaking || stream.isDry || this.#isHalted) return;
    stream.isTaking = true;
    // It is told of anew from here on.
    stream.isDry = true;
    const most = Math.min(2 * this.#deps.window().messages, FIXED_LIMITS.outboxPageItemsMax);
    void this.#deps.outbox.take(stream.name, most).then(
      (taken) => {
        stream.isTaking = false;
        if (taken.length > 0) {
          stream.isDry = false;
          stream.ready = stream.ready.length === 0 ? [...taken] : [...stream.ready, ...taken];
        }
        this.#pump();
      },
      () => {
        // The store tells of it; its next write mends the database.
        stream.isTaking = false;
        stream.isDry = false;
        this.#wait(TAKE_AGAIN_MS);
      },
    );
  }

  #wait(ms: number): void {
    this.#cancelWait();
    this.#cancelWait = this.#deps.clock.after(ms, () => this.#pump());
  }
}
