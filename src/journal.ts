import { pino } from "pino";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

/** Members that no record shows, at the top or one level down, should a caller ever pass one. */
const SECRETS = ["password", "token", "admin_token", "secret", "client_secret", "authorization"];

/** Syslog priorities (RFC 5424 §6.2.1, sd-daemon(3)) of pino's numeric levels. */
const PRIORITIES: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3 };

/**
 * The log of the process: one JSON object a line with `level`, `time` and `event`, written
 * synchronously, so that the last record before a crash is there. With `forJournal` every line
 * begins with its priority, `<3>` to `<7>`, which journald takes off and keeps.
 */
export function openLog(options: {
  readonly level: "error" | "warn" | "info" | "debug";
  readonly clock: Pick<Clock, "wallMs">;
  readonly forJournal: boolean;
  /** Takes whole lines; standard output if left out. */
  readonly write?: (line: string) => void;
}): Log {
  const write = options.write ?? standardOutput();
  const target = {
    // Asks pino to set lastLevel before each write.
    [Symbol.for("pino.metadata")]: true,
    lastLevel: 0,
    write(line: string): void {
      write(options.forJournal ? `<${PRIORITIES[this.lastLevel] ?? 6}>${line}` : line);
    },
  };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(options.clock.wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
    },
    target,
  );
  return {
    error: (event, fields) => logger.error({ event, ...fields }),
    warn: (event, fields) => logger.warn({ event, ...fields }),
    info: (event, fields) => logger.info({ event, ...fields }),
    debug: (event, fields) => logger.debug({ event, ...fields }),
  };
}

function standardOutput(): (line: string) => void {
  const destination = pino.destination({ fd: 1, sync: true });
  // Whoever read our output has gone: the gateway goes on without a log.
  destination.on("error", () => undefined);
  return (line) => destination.write(line);
}
