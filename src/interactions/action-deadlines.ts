import type { CancelTimer } from "../clock.ts";
import type { ActionRequest } from "../store/action-requests.ts";
import type { Moment } from "../store/keys.ts";
import { endRequest } from "./action-invocation.ts";
import type { InteractionDeps } from "./deps.ts";

/** `wait`: after a reboot, until the clock is known. */
export type Deliverability = "deliver" | "wait" | "never";

/** Looked at this often: bounds how late an expiry is seen, and how late a set clock. */
const LOOK_EVERY_MS = 500;

/**
 * Expires pending action requests, and says whether one may still be delivered: a request that has
 * expired never reaches its device.
 *
 * Within one boot its age is measured on the monotonic clock. After a reboot it waits until the time
 * is known, at most its whole time to live again: of its age it is then only known that it is not
 * less than the gateway's time says.
 */
export class ActionDeadlines {
  readonly #deps: InteractionDeps;
  readonly #startedMonotonicMs: number;
  readonly #onClockKnown: () => void;
  #wasSynced: boolean;
  #cancelTimer: CancelTimer | undefined;
  #stopped = false;

  /** `onClockKnown`: what waited may be delivered now. */
  constructor(deps: InteractionDeps, onClockKnown: () => void) {
    this.#deps = deps;
    this.#onClockKnown = onClockKnown;
    this.#startedMonotonicMs = deps.clock.monotonicMs();
    this.#wasSynced = deps.clock.isSynced();
  }

  start(): void {
    const look = (): void => {
      if (this.#stopped) return;
      this.expire();
      this.#cancelTimer = this.#deps.clock.after(LOOK_EVERY_MS, look);
    };
    look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  deliverability(thing: number, name: string, moment: Moment): Deliverability {
    const request = this.#deps.store.requests.get(thing, name, moment);
    if (request?.status !== "pending") return "never";
    if (this.#remainingMs(request) <= 0) return "never";
    return this.#isAgeKnown(request) ? "deliver" : "wait";
  }

  /** Ends every pending request past its deadline. */
  expire(): void {
    for (const request of this.#deps.store.requests.unfinished()) {
      if (request.status !== "pending" || this.#remainingMs(request) > 0) continue;
      endRequest(this.#deps, request, { status: "expired" });
    }
    const isSynced = this.#deps.clock.isSynced();
    if (isSynced && !this.#wasSynced) this.#onClockKnown();
    this.#wasSynced = isSynced;
  }

  #isAgeKnown({ deadline }: ActionRequest): boolean {
    const { clock } = this.#deps;
    return deadline.bootId === clock.bootId || (deadline.isSynced && clock.isSynced());
  }

  #remainingMs(request: ActionRequest): number {
    const { clock } = this.#deps;
    const { deadline, moment } = request;
    if (deadline.bootId === clock.bootId) {
      return deadline.requestedMonotonicMs + deadline.timeToLiveMs - clock.monotonicMs();
    }
    const sinceStart = this.#startedMonotonicMs + deadline.timeToLiveMs - clock.monotonicMs();
    // From a time that was not known to one that is, nobody knows how long it was.
    if (clock.isSynced() && !deadline.isSynced) return sinceStart;
    return Math.min(sinceStart, moment.at + deadline.timeToLiveMs - clock.wallMs());
  }
}
