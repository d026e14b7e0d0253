import type { JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";

/** Whether a device of a Thing is connected over MQTT: a client whose credential has the role device there. */
export type DeviceConnection = {
  readonly isOnline: boolean;
  /** ms since the epoch; `undefined`: since the gateway started, at least. */
  readonly since: number | undefined;
};

/** What the rest asks the MQTT side, and hears of it. */
export type DeviceConnections = {
  readonly of: (thing: Thing) => DeviceConnection;
  /** Calls back when what is told of a Thing has changed; returns what ends that. */
  readonly onTold: (callback: (thing: Thing) => void) => () => void;
};

/** `{"state": "online"｜"offline", "since": time｜null}`: the same over both protocols. */
export function connectionObject({ isOnline, since }: DeviceConnection): JsonObject {
  return {
    state: isOnline ? "online" : "offline",
    since: since === undefined ? null : formatTime(since),
  };
}
