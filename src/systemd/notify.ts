import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { EXIT, StartError } from "../start-error.ts";

/**
 * The service's side of sd_notify(3). Node has no Unix datagram sockets, so each message goes out
 * through one `systemd-notify`, which waits until systemd has read it and so cannot be mistaken
 * for a stranger (the unit needs NotifyAccess=all). Messages leave in order. Once started, a
 * message that cannot be sent is logged and forgotten. Without NOTIFY_SOCKET all is silent.
 */
export type Notifier = {
  /**
   * Asks for more time than TimeoutStartSec until `ready`, but not for ever. Rejects with a
   * StartError if systemd cannot be told anything: it would kill us later for being silent.
   */
  readonly starting: () => Promise<void>;
  /** The gateway serves. From now on the watchdog is fed, while `isHealthy` answers true in time. */
  readonly ready: (vitals: Vitals) => Promise<void>;
  /**
   * The end begins; nothing but this is sent from now on. `why` stays in `systemctl status` until
   * the next start, where the log's lines of a process that systemd starts again do not.
   */
  readonly stopping: (why?: string) => Promise<void>;
};

export type Vitals = {
  readonly isHealthy: () => Promise<boolean>;
  /** One line for `systemctl status`. */
  readonly statusLine: () => string;
};

/** Sends the assignments of one message; rejects if it did not get through. */
export type Send = (assignments: readonly string[]) => Promise<void>;

const START_EXTENSION_MS = 60_000;
const START_RENEWAL_MS = 20_000;
/** How often the status line is brought up to date where no watchdog asks for more. */
const STATUS_INTERVAL_MS = 30_000;

export function openNotifier(options: {
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly log: Log;
  readonly send?: Send;
}): Notifier {
  const socket = options.env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return SILENT;
  const send = options.send ?? systemdNotify(socket, options.env["PATH"]);
  return new ServiceNotifier(options.clock, options.log, send, watchdogMs(options));
}

const SILENT: Notifier = {
  starting: async () => Promise.resolve(),
  ready: async () => Promise.resolve(),
  stopping: async () => Promise.resolve(),
};

/** WATCHDOG_USEC in ms, unless it is meant for another process (sd_watchdog_enabled(3)). */
function watchdogMs(options: { env: NodeJS.ProcessEnv; pid: number }): number | undefined {
  const pid = options.env["WATCHDOG_PID"];
  if (pid !== undefined && pid !== String(options.pid)) return undefined;
  const microseconds = Number(options.env["WATCHDOG_USEC"] ?? "");
  return microseconds > 0 ? microseconds / 1_000 : undefined;
}

class ServiceNotifier implements Notifier {
  readonly #clock: Pick<Clock, "after" | "monotonicMs">;
  readonly #log: Log;
  readonly #send: Send;
  readonly #watchdogMs: number | undefined;
  #cancelTimer: CancelTimer = () => undefined;
  #sent: Promise<void> = Promise.resolve();
  #isStopping = false;
  #status = "";

  constructor(
    clock: Pick<Clock, "after" | "monotonicMs">,
    log: Log,
    send: Send,
    watchdog: number | undefined,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#send = send;
    this.#watchdogMs = watchdog;
  }

  readonly starting = async (): Promise<void> => {
    await this.#send([...extension(), "STATUS=starting"]);
    this.#renewUntil(this.#clock.monotonicMs() + FIXED_LIMITS.startMsMax);
  };

  readonly ready = async (vitals: Vitals): Promise<void> => {
    this.#cancelTimer();
    this.#status = vitals.statusLine();
    this.#watch(vitals);
    await this.#queue(["READY=1", statusOf(this.#status)]);
  };

  readonly stopping = async (why = "stopping"): Promise<void> => {
    this.#cancelTimer();
    const message = this.#queue(["STOPPING=1", statusOf(why)]);
    this.#isStopping = true;
    await message;
  };

  #renewUntil(endMs: number): void {
    this.#cancelTimer = this.#clock.after(START_RENEWAL_MS, () => {
      if (this.#clock.monotonicMs() >= endMs) return;
      void this.#queue(extension());
      this.#renewUntil(endMs);
    });
  }

  /** sd_watchdog_enabled(3): at half of the time, so that one ping may be late. */
  #watch(vitals: Vitals): void {
    const intervalMs = this.#watchdogMs === undefined ? STATUS_INTERVAL_MS : this.#watchdogMs / 2;
    this.#cancelTimer = this.#clock.after(intervalMs, () => {
      void this.#report(vitals, intervalMs / 2);
      this.#watch(vitals);
    });
  }

  async #report(vitals: Vitals, deadlineMs: number): Promise<void> {
    const isHealthy = await this.#isHealthyWithin(vitals, deadlineMs);
    if (!isHealthy) this.#log.warn("systemd.watchdog_withheld", { deadlineMs });
    const status = isHealthy ? vitals.statusLine() : "not healthy: the watchdog is not fed";
    const message: string[] = [];
    if (isHealthy && this.#watchdogMs !== undefined) message.push("WATCHDOG=1");
    if (status !== this.#status) message.push(statusOf(status));
    this.#status = status;
    if (message.length > 0) await this.#queue(message);
  }

  async #isHealthyWithin(vitals: Vitals, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(deadlineMs, () => resolve(false));
      const answer = (isHealthy: boolean): void => {
        cancel();
        resolve(isHealthy);
      };
      vitals.isHealthy().then(answer, () => answer(false));
    });
  }

  async #queue(message: readonly string[]): Promise<void> {
    this.#sent = this.#sent.then(async () => {
      if (this.#isStopping && !message.includes("STOPPING=1")) return;
      try {
        await this.#send(message);
      } catch (error) {
        this.#log.warn("systemd.notify_failed", { error });
      }
    });
    await this.#sent;
  }
}

function extension(): readonly string[] {
  return [`EXTEND_TIMEOUT_USEC=${START_EXTENSION_MS * 1_000}`];
}

function statusOf(line: string): string {
  return `STATUS=${line.replaceAll(/\s+/g, " ")}`;
}

const execute = promisify(execFile);

/** Takes paths and abstract names (`@…`) alike. The child gets nothing else of our environment. */
function systemdNotify(socket: string, path: string | undefined): Send {
  const env = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) };
  return async (assignments) => {
    try {
      await execute("systemd-notify", assignments, { env, timeout: FIXED_LIMITS.notifyMsMax });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        const message =
          "systemd waits to be notified (NOTIFY_SOCKET), but there is no systemd-notify";
        throw new StartError(EXIT.configuration, `${message} in PATH`);
      }
      throw new StartError(EXIT.tryAgain, "systemd-notify could not notify systemd", {
        cause: error,
      });
    }
  };
}
