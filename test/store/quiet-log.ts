import type { Log } from "../../src/log.ts";

const nothing = (): void => undefined;

/** For tests that look at something else. */
export const QUIET_LOG: Log = { error: nothing, warn: nothing, info: nothing, debug: nothing };
