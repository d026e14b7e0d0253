/** Fields of a log record: facts, never sentences; no payload, no secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * A structured log. `event` is a dotted name (`uplink.disconnected`). `error`: an operator must
 * act; `warn`: degraded and coping; `info`: life cycle; `debug`: per packet.
 */
export type Log = {
  readonly error: (event: string, fields?: LogFields) => void;
  readonly warn: (event: string, fields?: LogFields) => void;
  readonly info: (event: string, fields?: LogFields) => void;
  readonly debug: (event: string, fields?: LogFields) => void;
};

const nothing = (): void => undefined;

/** For whoever reads a store and has nobody to tell. */
export const SILENT_LOG: Log = { error: nothing, warn: nothing, info: nothing, debug: nothing };
