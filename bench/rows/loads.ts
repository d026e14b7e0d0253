import type { Endpoint } from "../generator/connection.ts";
import type { Latency, LoadJob, LoadResult, SubscriberPlan } from "../generator/job.ts";
import { observe } from "../observe.ts";
import type { Bench, Outcome, Run } from "../rounds.ts";
import { spreadOf } from "../statistics.ts";
import { ACCOUNT } from "../targets/sluice.ts";
import type { Target } from "../targets/target.ts";
import type { Observed } from "../watch.ts";
import type { Detail } from "./group.ts";

export const PUBLISHERS = 50;
export const THINGS = PUBLISHERS;
const PAYLOAD_BYTES = 100;
const FAN_IN_WINDOW = 20;
const PAIRS_WINDOW = 10;

/** Who publishes what to whom; the endpoint and the times are filled in. */
export type Load = Omit<LoadJob, "kind" | "endpoint" | "warmupMs" | "measureMs" | "payloadBytes">;

/** 50 publishers and one subscriber, on topics no broker gives a meaning. */
export const FREE_FAN_IN: Load = {
  publishers: PUBLISHERS,
  topic: "bench/{i}",
  subscribers: [{ filter: "bench/+", qos: 1, clean: true }],
  window: FAN_IN_WINDOW,
};

/** Each publisher has a subscriber of its own. */
export function freePairs(options: { readonly clean: boolean }): Load {
  const subscribers = Array.from({ length: PUBLISHERS }, (_, nth): SubscriberPlan => {
    return { filter: `bench/${String(nth).padStart(3, "0")}`, qos: 1, ...options };
  });
  return { publishers: PUBLISHERS, topic: "bench/{i}", subscribers, window: PAIRS_WINDOW };
}

/** 50 devices report a property each; one subscriber follows the status of all. */
export const DURABLE: Load = {
  publishers: PUBLISHERS,
  topic: `set/${ACCOUNT}/things/bench-{i}/properties/p`,
  subscribers: [{ filter: `status/${ACCOUNT}/things/+/properties/#`, qos: 1, clean: true }],
  window: FAN_IN_WINDOW,
};

const FOLLOWER: SubscriberPlan = {
  filter: `set/${ACCOUNT}/things/+/properties/#`,
  qos: 1,
  clean: true,
};

/** The same publishes through a broker that only forwards them. */
export const FORWARDED: Load = { ...DURABLE, subscribers: [FOLLOWER] };

/**
 * The same through a broker that stores: somebody who is away is owed all of it. Without, RabbitMQ
 * acknowledges a message that was delivered before it was written.
 */
export const STORED: Load = {
  ...DURABLE,
  subscribers: [FOLLOWER, { ...FOLLOWER, clean: false, presence: "absent" }],
};

/** A fresh broker, one load, and its end. */
export function loadRun(
  bench: Bench,
  target: Target,
  load: Load,
  options: { readonly name?: string; readonly counter?: () => number } = {},
): Run<LoadResult> {
  return {
    name: options.name ?? target.name,
    missing: target.missing,
    describe: (value) =>
      `${Math.round(value.perSecond)}/s, generator ${Math.round(value.cpu * 100)} %`,
    measure: async () => {
      const broker = await target.start();
      try {
        const job = jobOf(bench, broker.endpoint, load);
        return await observe(broker.program, job, options.counter);
      } finally {
        await broker.stop();
      }
    },
  };
}

export function jobOf(bench: Bench, endpoint: Endpoint, load: Load): LoadJob {
  const { warmupMs, measureMs } = bench;
  return { kind: "load", endpoint, ...load, payloadBytes: PAYLOAD_BYTES, warmupMs, measureMs };
}

/** Medians of a run, for the reader. */
export function detailsOf(outcomes: readonly Outcome<LoadResult>[]): readonly Detail[] {
  return outcomes.map(({ name, rounds, because }) => {
    if (rounds.length === 0) return { who: name, "messages/s": because ?? "not measured" };
    const rates = spreadOf(rounds.map(({ value }) => value.perSecond));
    const latency = (of: (value: LoadResult) => Latency): string =>
      (["p50", "p99"] as const)
        .map((part) => medianOf(rounds, ({ value }) => of(value)[part]).toFixed(2))
        .join(" / ");
    const sums = (["lost", "reordered", "duplicated"] as const).map((count) =>
      rounds.reduce((sum, { value }) => sum + value[count], 0),
    );
    return {
      who: name,
      "messages/s": Math.round(rates.median),
      "min–max": `${Math.round(rates.min)}–${Math.round(rates.max)}`,
      "PUBACK p50 / p99 ms": latency(({ ack }) => ack),
      "forwarded p50 / p99 ms": latency(({ forward }) => forward),
      // Of use where the broker did not have its core to itself.
      "messages a CPU second": Math.round(
        medianOf(rounds, ({ value, seen }) => value.perSecond / Math.max(0.01, seen.brokerCpu)),
      ),
      "broker CPU": percentOf(rounds, ({ seen }) => seen.brokerCpu),
      "generator CPU": percentOf(rounds, ({ value }) => value.cpu),
      "bytes to disk a message": Math.round(
        medianOf(rounds, ({ seen, value }) => seen.bytesWritten / Math.max(1, value.messages)),
      ),
      "RSS MB": Math.round(medianOf(rounds, ({ seen }) => seen.residentBytesMax) / 1e6),
      "lost, reordered, twice": sums.join(", "),
      "others' CPU": percentOf(rounds, ({ seen }) => seen.foreignCpu),
    };
  });
}

type Rounds<Value> = readonly Observed<Value>[];

export function medianOf<Value>(
  rounds: Rounds<Value>,
  of: (observed: Observed<Value>) => number,
): number {
  return spreadOf(rounds.map(of)).median;
}

export function percentOf<Value>(
  rounds: Rounds<Value>,
  of: (observed: Observed<Value>) => number,
): string {
  return `${Math.round(medianOf(rounds, of) * 100)} %`;
}
