import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Down } from "./down.ts";
import { Drain, type DrainDeps } from "./drain.ts";
import { FollowedFilters } from "./followed-filters.ts";
import { LineFailure } from "./line-failure.ts";
import type { Line } from "./line.ts";
import type { UpMessage } from "./message.ts";
import type { Presence } from "./presence.ts";
import type { UpstreamSubscription } from "./topic-mapping.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";

export type LineWorkDeps = Omit<DrainDeps, "line" | "clock" | "onRefused" | "onAcknowledged"> & {
  readonly line: Line;
  readonly clock: Clock;
  readonly down: Down;
  readonly presence: Presence;
  /** Where the gateway itself is told of; `undefined`: nowhere. */
  readonly presenceTopic: string | undefined;
  readonly memory: Pick<UplinkMemory, "note" | "setNote">;
  readonly wanted: () => readonly UpstreamSubscription[];
  /** Upstream has acknowledged something, so that the line is more than a socket. */
  readonly onConnected: () => void;
  /** Upstream refused something that is not owed. */
  readonly onFault: (detail: string) => void;
};

/** Everything that is done over one open line, from the birth message to the goodbye. */
export class LineWork {
  readonly #deps: LineWorkDeps;
  readonly #drain: Drain;
  readonly #filters: FollowedFilters;
  /** Why we ended it ourselves. */
  #refusal: LineFailure | undefined;
  #hasProgressed = false;
  #left: Promise<void> | undefined;
  #cancelLook: CancelTimer = () => undefined;

  constructor(deps: LineWorkDeps) {
    this.#deps = deps;
    const { line, down, outbox, memory, wanted, onFault } = deps;
    this.#filters = new FollowedFilters({
      line,
      memory,
      wanted,
      onRefused: (filter, why) =>
        onFault(`upstream refused to let us subscribe to ${filter}: ${why}`),
    });
    this.#drain = new Drain({
      ...deps,
      outbox,
      onAcknowledged: (owed) => {
        this.#hasProgressed = true;
        down.acknowledged(owed);
      },
      onRefused: (failure) => {
        this.#refusal = failure;
        void line.close();
      },
    });
  }

  /** Something that was owed is acknowledged. */
  get hasProgressed(): boolean {
    return this.#hasProgressed;
  }

  /** What we ended the line for, if it was that. */
  get refusal(): LineFailure | undefined {
    return this.#refusal;
  }

  /** The first that was sent and not acknowledged. */
  get first(): Drain["first"] {
    return this.#drain.first;
  }

  /** SUBSCRIBE goes first, so that what is published has its echo. */
  start(): void {
    const { line, down, presence, presenceTopic } = this.#deps;
    down.lineOpened(line);
    this.#follow();
    if (presenceTopic !== undefined) {
      presence.opened(presenceTopic, (message) => this.tell(message));
    }
    this.#drain.start();
  }

  /** Publishes what is not owed, if there is room; else it is lost. */
  tell(message: UpMessage): void {
    this.#drain.tell(message, (failure) => {
      if (failure === undefined) this.#deps.onConnected();
      else if (!(failure instanceof LineFailure)) {
        this.#deps.onFault(`${failure.message}, to publish to ${message.topic}`);
      }
    });
  }

  /** The line has ended. */
  ended(): void {
    this.#stop();
    this.#deps.down.lineClosed();
  }

  /** Takes leave: what is under way has a moment to be acknowledged, then upstream is told. */
  async leave(): Promise<void> {
    this.#left ??= this.#leave();
    await this.#left;
  }

  async #leave(): Promise<void> {
    const { line, presence, presenceTopic } = this.#deps;
    this.#stop();
    await this.#within(async () => this.#acknowledged());
    if (presenceTopic !== undefined) {
      const goodbye = presence.goodbye(presenceTopic);
      await this.#within(async () => line.publish(goodbye).catch(() => undefined));
    }
    await line.close();
  }

  #stop(): void {
    this.#cancelLook();
    this.#deps.presence.closed();
    this.#drain.halt();
  }

  #follow(): void {
    const { clock, onConnected } = this.#deps;
    // A line that ends meanwhile is told of by itself.
    void this.#filters.follow().then(onConnected, () => undefined);
    this.#cancelLook = clock.after(FIXED_LIMITS.uplinkLookMs, () => this.#follow());
  }

  async #acknowledged(): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.#deps.line.inFlight.count === 0) resolve();
        else this.#cancelLook = this.#deps.clock.after(20, look);
      };
      look();
    });
  }

  async #within(step: () => Promise<unknown>): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#deps.clock.after(FIXED_LIMITS.uplinkLeaveMsMax, resolve);
      void step().then(() => {
        cancel();
        resolve();
      });
    });
    this.#cancelLook();
  }
}
