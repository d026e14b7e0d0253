import { bytesWrittenBy, cpuSecondsOf, cpuSecondsUsed, residentBytesOf } from "./machine.ts";
import type { Program } from "./processes.ts";

/** CPU of others, 1 is a core, above which a round counts as disturbed. */
const FOREIGN_CPU_MAX = 0.1;
const MEMORY_EVERY_MS = 100;

/** What was seen of the broker, and of the machine, while something was measured. */
export type Seen = {
  /** 1 is a core. */
  readonly brokerCpu: number;
  /** Of programs that are not part of the measurement. */
  readonly foreignCpu: number;
  readonly isDisturbed: boolean;
  readonly bytesWritten: number;
  readonly residentBytesMax: number;
  /** At the end. */
  readonly residentBytes: number;
  /** By how much a counter went up, if there was one. */
  readonly counted: number;
};

export type Observed<Value> = { readonly value: Value; readonly seen: Seen };

export type Watched = {
  /** `undefined` as long as it has not been started. */
  readonly broker: () => Program | undefined;
  readonly generator?: Program;
  readonly counter?: () => number;
};

/** Two readings of the kernel's counters, and the difference between them. */
export class Watch {
  readonly #watched: Watched;
  #seen: Seen | undefined;
  #finish: (() => void) | undefined;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** @throws Error before the end. */
  get seen(): Seen {
    if (this.#seen === undefined) throw new Error("nothing was measured");
    return this.#seen;
  }

  begin(): void {
    const begunMs = performance.now();
    const before = this.#read();
    let residentBytesMax = 0;
    const look = (): void => {
      const pids = this.#watched.broker()?.pids ?? [];
      residentBytesMax = Math.max(residentBytesMax, residentBytesOf(pids));
    };
    const timer = setInterval(look, MEMORY_EVERY_MS);
    this.#finish = () => {
      clearInterval(timer);
      look();
      const seconds = (performance.now() - begunMs) / 1_000;
      const after = this.#read();
      const ofOthers = after.all - before.all - (after.ours - before.ours);
      const foreignCpu = Math.max(0, ofOthers / seconds);
      this.#seen = {
        brokerCpu: (after.broker - before.broker) / seconds,
        foreignCpu,
        isDisturbed: foreignCpu > FOREIGN_CPU_MAX,
        bytesWritten: after.bytesWritten - before.bytesWritten,
        residentBytesMax,
        residentBytes: after.residentBytes,
        counted: after.counted - before.counted,
      };
    };
  }

  /** Idempotent. */
  end(): void {
    this.#finish?.();
    this.#finish = undefined;
  }

  #read() {
    const broker = this.#watched.broker()?.pids ?? [];
    const generator = this.#watched.generator?.pids ?? [];
    return {
      broker: cpuSecondsOf(broker),
      ours: cpuSecondsOf([process.pid, ...broker, ...generator]),
      all: cpuSecondsUsed(),
      bytesWritten: bytesWrittenBy(broker),
      residentBytes: residentBytesOf(broker),
      counted: this.#watched.counter?.() ?? 0,
    };
  }
}
