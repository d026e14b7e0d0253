import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Granted, LineSettings } from "./line-connect.ts";
import { Connection } from "./line-connection.ts";
import { dial } from "./line-dial.ts";
import { LineFailure } from "./line-failure.ts";
import type { Settled } from "./line-flight.ts";
import type { InboundSession } from "./line-inbound.ts";
import type { DownMessage, UpMessage } from "./message.ts";

export type LineEvents = {
  /**
   * A message came; it is answered to the broker when `acknowledge` is called, which has to be done
   * for every message, one of QoS 0 too. May be called before `openLine` resolves.
   */
  readonly onMessage: (message: DownMessage, acknowledge: () => void) => void;
  /** A message came that is larger than we take: it was answered and not read. */
  readonly onTooLarge: (topic: string, bytes: number) => void;
  /** An open line has ended, for whatever reason; called once, after everything under way has failed. */
  readonly onClosed: (reason: LineFailure) => void;
};

export type LineDeps = {
  readonly clock: Pick<Clock, "monotonicMs" | "after">;
  /** The same for each line of one MQTT session. */
  readonly session: InboundSession;
};

/** A topic filter and how it is subscribed to; the last three are MQTT 5 §3.8.3.1. */
export type Subscription = {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly retainHandling?: 0 | 1 | 2;
};

export type SendOptions = {
  /** The packet id it is to have if that is free: the one it was sent with before. */
  readonly packetId?: number | undefined;
  /** It may have been sent before in this session [MQTT-3.3.1-1]. */
  readonly dup?: boolean;
};

/** One connection to an upstream broker that has taken our CONNECT. */
export type Line = Granted & {
  /** Publishes and subscriptions that wait for their acknowledgement, and their bytes. */
  readonly inFlight: { readonly count: number; readonly bytes: number };
  /** When the last acknowledgement came, on the monotonic clock; before the first: when it was made. */
  readonly lastProgressMs: number;
  /** When anything came from the broker, likewise. */
  readonly lastHeardMs: number;
  /**
   * Publishes at QoS 1 and calls back once: at the PUBACK, or with what went wrong. Messages go out in
   * the order of the calls. The caller keeps to the window. Returns the packet id it went with.
   */
  readonly send: (message: UpMessage, options: SendOptions, settled: Settled) => number;
  /** As `send`. @throws LineFailure, MessageFailure. */
  readonly publish: (message: UpMessage) => Promise<void>;
  /**
   * Resolves with the code of each: 0 to 2 the QoS granted, 0x80 and above a refusal.
   * @throws LineFailure.
   */
  readonly subscribe: (subscriptions: readonly Subscription[]) => Promise<readonly number[]>;
  /** @throws LineFailure. */
  readonly unsubscribe: (filters: readonly string[]) => Promise<void>;
  /** Takes leave (DISCONNECT: no will) and closes. What is under way fails with `ended`. */
  readonly close: () => Promise<void>;
};

/**
 * Connects once. Resolves when the broker has taken our CONNECT.
 * @throws LineFailure; `signal` ends the try, not the line.
 */
export async function openLine(
  settings: LineSettings,
  events: LineEvents,
  deps: LineDeps,
  signal: AbortSignal,
): Promise<Line> {
  const { uplinkConnectMsMax, uplinkPacketBytesMax } = FIXED_LIMITS;
  const late = new AbortController();
  const cancel = deps.clock.after(uplinkConnectMsMax, () => late.abort());
  const either = AbortSignal.any([signal, late.signal]);
  let stage = "the connection did not come about";
  let stream: Duplex | undefined;
  try {
    stream = await dial(settings, uplinkPacketBytesMax, either);
    stage = "our CONNECT was not answered";
    const connection = new Connection(stream, settings, events, deps);
    return await connection.granted(either);
  } catch (error) {
    stream?.destroy();
    if (signal.aborted || !late.signal.aborted) throw error;
    const seconds = uplinkConnectMsMax / 1_000;
    throw new LineFailure("timeout", `${new URL(settings.url).host}: ${stage} within ${seconds} s`);
  } finally {
    cancel();
  }
}
