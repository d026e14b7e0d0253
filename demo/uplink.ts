import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "mqtt";
import { z } from "zod";
import { parseStatusTopic } from "../src/thing/topics.ts";
import type { UpstreamLine } from "./cut.ts";
import { pause, type Line } from "./line.ts";
import type { Upstream } from "./upstream.ts";

/** The way up, as the gateway tells of it, and what arrived there. */
export type Uplink = {
  /** Cuts the line for so long, mends it, and waits for the gateway to come back by itself. */
  readonly loseLine: (seconds: number) => Promise<void>;
  /** Waits until nothing waits any more and `expected` have arrived, for a bounded time. */
  readonly drain: (expected: number) => Promise<Arrived>;
  readonly end: () => Promise<void>;
};

/** What a subscriber of upstream's broker got. */
export type Arrived = {
  /** Changes by class, each once. */
  readonly counts: Readonly<Record<string, number>>;
  /** Messages with an id that had been there before. */
  readonly repeated: number;
  /** The most changes that waited at once, as the gateway said. */
  readonly deepest: number;
};

const PATH = "/gateway/uplinks/cloud";
const POLL_MS = 250;
/** The gateway tries again within its `retry.max_s`, 60; then everything goes up. */
const RETURN_MS_MAX = 90_000;

/** To be called when there are Things, and no values yet: all values are then counted. */
export async function openUplink(
  line: Line,
  upstream: Upstream,
  wire: UpstreamLine,
): Promise<Uplink> {
  const arrivals = await countArrivals(upstream);
  // A broker of MQTT 3.1.1 passes no ids on; then each message says its own.
  const plain = upstream.protocol === 5 ? {} : { protocol: 4, envelope: "cloudevents" };
  const settings = { url: `mqtt://127.0.0.1:${wire.port}`, shape: "mirror", ...plain };
  line.say("operator", `PUT ${PATH} ${JSON.stringify(settings)}, which is ${upstream.name}`);
  await line.call("PUT", PATH, settings);
  const gauge = makeGauge(line);
  return {
    loseLine: async (seconds) => {
      line.say("uplink", `LOSES ITS LINE for ${seconds} s`);
      wire.cut();
      const tellEveryMs = Math.max(1_000, seconds * 100);
      const cutMs = seconds * 1_000;
      for (let at = 0; at < cutMs && !line.signal.aborted; at += tellEveryMs) {
        await pause(Math.min(tellEveryMs, cutMs - at), line.signal);
        await gauge.tell();
      }
      wire.mend();
      line.say("uplink", "could have its line again; it tries when its back-off says so");
      await until(async () => line.signal.aborted || (await gauge.read()).state === "connected");
      await gauge.tell();
    },
    drain: async (expected) => {
      await until(async () => (await gauge.read()).depth.rows === 0);
      await gauge.tell();
      await until(async () => Promise.resolve(arrivals.total() >= expected));
      return { ...arrivals.read(), deepest: gauge.deepest() };
    },
    end: arrivals.end,
  };
}

const status = z.object({
  state: z.string(),
  depth: z.object({ rows: z.number(), bytes: z.number() }),
  full_in_s: z.number().nullable(),
});

/** GET of the uplink, and the deepest backlog there ever was in an answer. */
function makeGauge(line: Line) {
  let deepest = 0;
  const read = async (): Promise<z.infer<typeof status>> => {
    const answer = status.parse(await line.call("GET", PATH));
    deepest = Math.max(deepest, answer.depth.rows);
    return answer;
  };
  const tell = async (): Promise<void> => {
    const { state, depth, full_in_s: fullS } = await read();
    const full = fullS === null ? "not filling up" : `full in ${Math.round(fullS / 360) / 10} h`;
    const bytes = `${Math.round(depth.bytes / 100) / 10} kB`;
    line.say("uplink", `is ${state}: ${depth.rows} changes wait, ${bytes}, ${full}`);
  };
  return { read, tell, deepest: () => deepest };
}

const envelope = z.object({ id: z.string() });

/** Subscribes to everything at upstream itself, not through the line that is cut. */
async function countArrivals({ port, protocol }: Upstream) {
  const client = connect({ host: "127.0.0.1", port, protocolVersion: protocol });
  const ids = new Set<string>();
  const counts: Record<string, number> = {};
  let repeated = 0;
  client.on("message", (text, payload, { properties }) => {
    const kind = parseStatusTopic(text)?.kind;
    if (kind !== "property" && kind !== "action" && kind !== "event") return;
    const marks: unknown =
      protocol === 5 ? properties?.userProperties : JSON.parse(payload.toString());
    const { id } = envelope.parse(marks);
    if (ids.has(id)) repeated += 1;
    else counts[kind] = (counts[kind] ?? 0) + 1;
    ids.add(id);
  });
  await client.subscribeAsync("#", { qos: 1 });
  return {
    total: () => ids.size,
    read: () => ({ counts: { ...counts }, repeated }),
    end: async () => client.endAsync(),
  };
}

/** Until it holds, or for a bounded time: what is wrong then, the counts say. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < RETURN_MS_MAX && !(await holds()); waitedMs += POLL_MS) {
    await sleep(POLL_MS);
  }
}
