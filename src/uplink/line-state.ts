import type { Clock } from "../clock.ts";
import type { UplinkLine } from "../interactions/uplinks.ts";
import type { Log } from "../log.ts";
import type { LineFailure } from "./line-failure.ts";

type State = UplinkLine["state"];

/**
 * How the line of one uplink stands, for those who ask. Told in the log when that changes, and when it
 * fails for another reason than before.
 */
export class LineState {
  readonly #uplink: string;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #log: Log;
  #state: State;
  #since: number;
  #lastError: UplinkLine["lastError"];
  /** Of the last failure since it was better. */
  #toldKind: LineFailure["kind"] | undefined;
  #opened = 0;
  #failed = 0;

  constructor(uplink: string, isPaused: boolean, clock: Pick<Clock, "wallMs">, log: Log) {
    this.#uplink = uplink;
    this.#clock = clock;
    this.#log = log;
    this.#state = isPaused ? "paused" : "connecting";
    this.#since = clock.wallMs();
  }

  get shown(): UplinkLine {
    const error = this.#lastError;
    return {
      state: this.#state,
      since: this.#since,
      opened: this.#opened,
      failed: this.#failed,
      ...(error === undefined ? {} : { lastError: error }),
    };
  }

  /** A try begins. A line that stalled or was refused stays so until the next one is better. */
  trying(): void {
    if (this.#state === "paused" || this.#state === "connected") this.#set("connecting");
  }

  connected(): void {
    this.#toldKind = undefined;
    if (this.#state !== "connected") this.#opened += 1;
    this.#set("connected");
  }

  paused(): void {
    this.#toldKind = undefined;
    this.#set("paused");
  }

  /** The line is gone, or did not come about. */
  failed(failure: LineFailure): void {
    this.#failed += 1;
    this.noteError(failure.message);
    const { kind, message } = failure;
    const state = kind === "stalled" || kind === "refused" ? kind : "connecting";
    const isToldAnew = state === this.#state && kind !== this.#toldKind;
    this.#toldKind = kind;
    if (isToldAnew) this.#tell(message);
    else this.#set(state, message);
  }

  /** Something went wrong, and the line stands. */
  noteError(detail: string): void {
    this.#lastError = { detail, at: this.#clock.wallMs() };
  }

  #set(state: State, error?: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#clock.wallMs();
    this.#tell(error);
  }

  #tell(error: string | undefined): void {
    const fields = { uplink: this.#uplink, ...(error === undefined ? {} : { error }) };
    if (error === undefined) this.#log.info(`uplink.${this.#state}`, fields);
    else this.#log.warn(`uplink.${this.#state}`, fields);
  }
}
