import { z } from "zod";
import type { Line, Tally } from "./line.ts";
import type { Arrived, Uplink } from "./uplink.ts";

/** What came of it, by the counts of the clients and of the gateway. */
export type Summary = {
  readonly seconds: number;
  /** Publishes that were acknowledged. */
  readonly published: number;
  readonly accepted: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Values and requests written by HTTP. */
  readonly writtenByHttp: number;
  /** Rows by class. */
  readonly history: Readonly<Record<string, number>>;
  /** Accepted writes that the history does not have, or has too often. */
  readonly missing: number;
  readonly acknowledgementMs: { readonly p50: number; readonly p99: number };
  /** `isEqual`: upstream has as many of each class as the history, each counted once. */
  readonly uplink: Arrived & { readonly isEqual: boolean };
};

const description = z.object({
  store: z.object({ history: z.record(z.string(), z.number()) }),
  broker: z.object({ refused: z.record(z.string(), z.number()) }),
});

/** To be called when nobody writes any more. Waits for what is still on its way up. */
export async function summarise(
  line: Pick<Line, "call" | "elapsedS" | "tally">,
  uplink: Pick<Uplink, "drain">,
): Promise<Summary> {
  const seconds = Math.round(line.elapsedS() * 10) / 10;
  const { store, broker } = description.parse(await line.call("GET", "/gateway"));
  const { acknowledged: published, writtenByHttp, latenciesMs }: Tally = line.tally;
  const accepted = published - sumOf(broker.refused);
  const arrived = await uplink.drain(sumOf(store.history));
  return {
    seconds,
    published,
    accepted,
    refused: broker.refused,
    writtenByHttp,
    history: store.history,
    missing: accepted + writtenByHttp - sumOf(store.history),
    acknowledgementMs: { p50: percentile(latenciesMs, 50), p99: percentile(latenciesMs, 99) },
    uplink: { ...arrived, isEqual: isSame(arrived.counts, store.history) },
  };
}

export function renderSummary(summary: Summary): string {
  const { seconds, published, accepted, writtenByHttp, acknowledgementMs: ms, uplink } = summary;
  const rows = [
    ["published", `${published}, all acknowledged`],
    ["accepted", `${accepted}`],
    ["refused", `${sumOf(summary.refused)} (${listOf(summary.refused)})`],
    ["by HTTP", `${writtenByHttp} writes`],
    ["history", `${sumOf(summary.history)} rows (${listOf(summary.history)})`],
    ["missing", `${summary.missing} of what was accepted`],
    ["on disk", `and acknowledged after ${ms.p50} ms (p50), ${ms.p99} ms (p99)`],
    ["waited", `up to ${uplink.deepest} changes while the line upstream was cut`],
    ["upstream", `${sumOf(uplink.counts)} (${listOf(uplink.counts)}), ${uplink.repeated} repeated`],
    ["equal", uplink.isEqual ? "upstream has what the history has" : "NO: upstream differs"],
  ];
  const lines = rows.map(([name = "", text = ""]) => `  ${name.padEnd(11)}${text}\n`);
  return `\nIn ${seconds} s:\n${lines.join("")}`;
}

type Counts = Readonly<Record<string, number>>;

function isSame(some: Counts, others: Counts): boolean {
  const classes = [...Object.keys(some), ...Object.keys(others)];
  return classes.every((name) => (some[name] ?? 0) === (others[name] ?? 0));
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

/** The nearest rank, ms to the hundredth; 0 of nothing. */
function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return Math.round((sorted[Math.max(rank - 1, 0)] ?? 0) * 100) / 100;
}
