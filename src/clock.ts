import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";

/** Stops a timer; idempotent. */
export type CancelTimer = () => void;

/** Time as a parameter, so that the whole gateway runs under a seeded simulation. */
export type Clock = {
  /** Wall time, ms since the Unix epoch. May step in either direction at any moment. */
  readonly wallMs: () => number;
  /** ms since an arbitrary point; never goes back; the same scale for all processes of one boot. */
  readonly monotonicMs: () => number;
  /** Changes with each boot of the machine. */
  readonly bootId: string;
  /** True once the machine's time has been set from outside since it booted, as far as we can know. */
  readonly isSynced: () => boolean;
  /** Calls back once after `delayMs`. The timer alone does not keep the process alive. */
  readonly after: (delayMs: number, callback: () => void) => CancelTimer;
};

/** Randomness as a parameter. `bytes` is cryptographically strong in production. */
export type Random = { readonly bytes: (count: number) => Uint8Array };

/** Longest delay a Node timer takes; longer ones fire at once (Node.js `setTimeout`). */
const TIMER_DELAY_MS_MAX = 2 ** 31 - 1;

const TIMESYNCD_FOLDER = "/run/systemd/timesync";
const TIMESYNCD_MARK = `${TIMESYNCD_FOLDER}/synchronized`;
/** Each change asks whether the time is known; the file system is asked once in this long. */
const SYNC_LOOK_EVERY_MS = 1_000;

/**
 * The machine's clock. `trust` says what to believe of its wall time after a boot: `auto` waits for
 * systemd-timesyncd's mark where timesyncd runs and believes it elsewhere; `always` believes it.
 */
export function systemClock(trust: "auto" | "always" = "auto"): Clock {
  const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
  let isSynced = false;
  let lookedMs = -Infinity;
  return {
    wallMs: () => Date.now(),
    monotonicMs,
    bootId: readBootId(),
    isSynced: () => {
      if (monotonicMs() - lookedMs >= SYNC_LOOK_EVERY_MS) {
        lookedMs = monotonicMs();
        isSynced =
          trust === "always" || !existsSync(TIMESYNCD_FOLDER) || existsSync(TIMESYNCD_MARK);
      }
      return isSynced;
    },
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), TIMER_DELAY_MS_MAX));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

export const systemRandom: Random = { bytes: (count) => randomBytes(count) };

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "ascii").trim();
  } catch {
    return "unknown"; // Not Linux: every start counts as the same boot.
  }
}
