import type { Endpoint } from "./connection.ts";
import type { Histogram } from "./histogram.ts";

/** What the generator is asked to do, and what it answers. Both cross a process boundary as JSON. */
export type Job = LoadJob | IdleJob | RetainedJob | HttpJob;

export type SubscriberPlan = {
  readonly filter: string;
  readonly qos: 0 | 1;
  readonly clean: boolean;
  /**
   * `reads` unless said otherwise; `frozen`: stays connected and reads nothing; `absent`: has a
   * session and has left, so that whatever it is owed has to be kept.
   */
  readonly presence?: "reads" | "frozen" | "absent";
};

export type LoadJob = {
  readonly kind: "load";
  readonly endpoint: Endpoint;
  readonly publishers: number;
  /** `{i}` in it is the number of the publisher, three digits. */
  readonly topic: string;
  readonly subscribers: readonly SubscriberPlan[];
  /** Messages of one publisher that are not both acknowledged and forwarded. */
  readonly window: number;
  /** Messages a second in all, at fixed times; absent: as fast as the window allows. */
  readonly rate?: number;
  readonly payloadBytes: number;
  readonly warmupMs: number;
  readonly measureMs: number;
};

export type LoadResult = {
  readonly kind: "load";
  /** Messages that completed in the measured time. */
  readonly messages: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** From sending (at a fixed rate: from the time it was due) to PUBACK, and to the subscriber. */
  readonly ack: Latency;
  readonly forward: Latency;
  /** At a fixed rate: how late messages were sent, after their time. */
  readonly lateMs99: number;
  /** Over the whole run: acknowledged and never forwarded, though there was time; out of order. */
  readonly lost: number;
  readonly reordered: number;
  readonly duplicated: number;
  /** Messages sent and never acknowledged. */
  readonly unacknowledged: number;
  /** CPU of the generator, 1 is a core. */
  readonly cpu: number;
};

export type Latency = { readonly p50: number; readonly p99: number; readonly max: number };

export function latencyOf(histogram: Histogram): Latency {
  return {
    p50: histogram.quantile(0.5),
    p99: histogram.quantile(0.99),
    max: histogram.maxMs,
  };
}

/** Opens connections, which do nothing, and holds them. */
export type IdleJob = {
  readonly kind: "idle";
  readonly endpoint: Endpoint;
  readonly connections: number;
  readonly holdMs: number;
};

export type RetainedJob = {
  readonly kind: "retained";
  readonly endpoint: Endpoint;
  readonly topicPrefix: string;
  readonly retained: number;
  readonly payloadBytes: number;
  readonly singles: number;
  readonly atOnce: number;
};

export type RetainedResult = {
  readonly kind: "retained";
  /** Median of the single SUBSCRIBEs, until SUBACK and the retained message are there. */
  readonly oneMs: number;
  /** Until the last of those sent at once has its message; median of the repetitions. */
  readonly atOnceMs: number;
};

export type HttpJob = {
  readonly kind: "http";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly warmupMs: number;
  readonly measureMs: number;
};

export type HttpResult = {
  readonly kind: "http";
  readonly perSecond: number;
  readonly latency: Latency;
  readonly cpu: number;
};

export type Result = LoadResult | RetainedResult | HttpResult | { readonly kind: "idle" };

/** Told when what is measured begins and ends, so that the broker is looked at over the same time. */
export type Marks = { readonly started: () => void; readonly ended: () => void };

/** What the generator says while it works. */
export type Report =
  | { readonly event: "started" }
  | { readonly event: "ended" }
  | { readonly event: "result"; readonly result: Result }
  | { readonly event: "failed"; readonly because: string };
