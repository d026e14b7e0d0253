import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

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
  /**
   * Calls back once after `delayMs`. The timer keeps the process alive only if `isAwaited`: when
   * somebody waits for what the callback does, and perhaps for nothing else.
   */
  readonly after: (delayMs: number, callback: () => void, isAwaited?: boolean) => CancelTimer;
};

/** Randomness as a parameter. `bytes` is cryptographically strong in production. */
export type Random = { readonly bytes: (count: number) => Uint8Array };

/** Longest delay a Node timer takes; longer ones fire at once (Node.js `setTimeout`). */
const TIMER_DELAY_MS_MAX = 2 ** 31 - 1;

/** Each change asks whether the time is known; the file system is asked once in this long. */
const SYNC_LOOK_EVERY_MS = 1_000;

/**
 * The machine's clock. `trust` says whether its wall time counts as set: `auto` asks the system,
 * anything else believes it. `root` is where its files are.
 */
export function systemClock(trust: "auto" | "always" | "reset" = "auto", root = "/"): Clock {
  // The kernel's clock, as process.hrtime reads it, without the cost of a bigint at each change.
  const bootedMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  const monotonicMs = (): number => Math.floor(bootedMs + performance.now());
  let isSynced = false;
  let lookedMs = -Infinity;
  return {
    wallMs: () => Date.now(),
    monotonicMs,
    bootId: readBootId(root),
    isSynced: () => {
      const nowMs = monotonicMs();
      if (nowMs - lookedMs >= SYNC_LOOK_EVERY_MS) {
        lookedMs = nowMs;
        isSynced = trust !== "auto" || isTimeSet(root);
      }
      return isSynced;
    },
    after: (delayMs, callback, isAwaited = false) => {
      const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), TIMER_DELAY_MS_MAX));
      if (!isAwaited) timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

/**
 * systemd-timesyncd has set the time, or does not run and so cannot tell; or the kernel has set it at
 * the boot from a battery-backed clock.
 */
function isTimeSet(root: string): boolean {
  const timesyncd = join(root, "run/systemd/timesync");
  if (!existsSync(timesyncd) || existsSync(join(timesyncd, "synchronized"))) return true;
  return readLine(join(root, "sys/class/rtc/rtc0/hctosys")) === "1";
}

export const systemRandom: Random = { bytes: (count) => randomBytes(count) };

/** A moment on the monotonic clock of one boot. */
export type BootMoment = { readonly bootId: string; readonly monotonicMs: number };

/** So long from now, on the monotonic clock. */
export function momentIn(clock: Clock, delayMs: number): BootMoment {
  return { bootId: clock.bootId, monotonicMs: clock.monotonicMs() + delayMs };
}

/**
 * Whether an end has come that was set as so long from then: within the same boot no step of the wall
 * clock moves it, after a reboot it is the wall time `at`.
 */
export function isOver(clock: Clock, at: number, moment: BootMoment | undefined): boolean {
  const isSameBoot = moment?.bootId === clock.bootId;
  return isSameBoot ? clock.monotonicMs() >= moment.monotonicMs : clock.wallMs() >= at;
}

function readBootId(root: string): string {
  // Not Linux: every start counts as the same boot.
  return readLine(join(root, "proc/sys/kernel/random/boot_id")) ?? "unknown";
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "ascii").trim();
  } catch {
    return undefined;
  }
}
