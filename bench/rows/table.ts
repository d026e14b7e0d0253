/** One number to reach: `bench/README.md` says how each is measured. */
export type Row = {
  readonly id: string;
  readonly what: string;
  readonly unit: "ratio" | "count" | "bytes" | "ms" | "MB" | "s" | "messages";
  /** Which way is better. */
  readonly better: "more" | "less";
  readonly firstStep: number;
  readonly goal: number;
  /** What was known before this was built. */
  readonly known: string;
};

/** The numbers to reach, in the order in which they are shown. `--only` takes a part of an id. */
export const ROWS: readonly Row[] = [
  more("durable/mosquitto", "durable path ÷ mosquitto QoS 1", 0.7, 1.3, "0.58; sketch 1.47"),
  more("durable/aedes", "durable path ÷ bare aedes", 0.65, 1.2, "0.55"),
  more("durable/rabbitmq", "durable path ÷ RabbitMQ", 5, 15, "it did 0.03–0.08 of mosquitto"),
  more("durable/nats", "durable path ÷ NATS JetStream", 1, 2, "it did 0.4–0.5 of mosquitto"),
  more("plain/aedes", "plain forwarding QoS 1, 50 to 1, ÷ bare aedes", 0.8, 0.95, "0.5, stock"),
  more(
    "plain/aedes-pairs",
    "plain forwarding QoS 1, 50 pairs, ÷ bare aedes",
    0.8,
    0.95,
    "0.5, stock",
  ),
  more("persistent/mosquitto", "QoS 1 to persistent sessions ÷ mosquitto", 0.35, 0.8, "0.11"),
  less("persistent/lost", "of these, lost", "messages", 0, 0, "38–241 a run"),
  less("persistent/reordered", "of these, reordered", "messages", 0, 0, "124–772 a run"),
  more("sync/unsynced", "synced ÷ unsynced at saturation", 0.9, 0.97, "0.95"),
  {
    ...more("sync/messages", "messages per fsync at saturation", 100, 300, "150–640"),
    unit: "count",
  },
  less(
    "disk/saturated",
    "disk bytes per 100-byte message, saturated",
    "bytes",
    450,
    250,
    "412; sketch 222",
  ),
  less("disk/1000", "disk bytes per 100-byte message at 1,000/s", "bytes", 1_200, 600, "1,000"),
  more(
    "frozen/healthy",
    "healthy throughput beside frozen subscribers ÷ without",
    0.8,
    0.95,
    "0, aedes",
  ),
  less("retained/one", "SUBSCRIBE to an exact topic, 100,000 retained", "ms", 5, 1, "180 ms"),
  less("retained/at-once", "20 of them at once, the last", "ms", 50, 10, "10,400 ms"),
  less("outbox/head", "take the head of a 1,000,000-row outbox, p99", "ms", 1, 0.2, "0.15 ms"),
  more("outbox/drain", "outbox drain ÷ pipelined QoS 1 publisher", 0.5, 0.9, "–"),
  less("memory/idle", "RSS idle", "MB", 130, 80, "56 for parts"),
  less("memory/connections", "RSS with 1,000 idle connections", "MB", 200, 130, "115 for parts"),
  less("memory/saturated", "RSS saturated", "MB", 300, 200, "165 for parts"),
  less(
    "start/ready",
    "ready after start: 10,000 Things, 1,000,000 history rows, 1,000,000 outbox rows",
    "s",
    3,
    1,
    "–",
  ),
  less("start/local", "then a PUT while the outbox drains, p90", "ms", 100, 20, "–"),
  less("start/stop", "then the stop", "s", 3, 1, "–"),
  more("http/get", "HTTP GET of a property ÷ bare node:http", 0.4, 0.6, "0.53 for Koa"),
];

function more(id: string, what: string, firstStep: number, goal: number, known: string): Row {
  return { id, what, unit: "ratio", better: "more", firstStep, goal, known };
}

function less(
  id: string,
  what: string,
  unit: Row["unit"],
  firstStep: number,
  goal: number,
  known: string,
): Row {
  return { id, what, unit, better: "less", firstStep, goal, known };
}
