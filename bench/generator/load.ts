import { Connection, type Endpoint } from "./connection.ts";
import { Flow, readPayload } from "./flow.ts";
import { encodePubacks } from "./frames.ts";
import { Histogram } from "./histogram.ts";
import { latencyOf, type LoadJob, type LoadResult, type Marks } from "./job.ts";
import { closedWindow, fixedRate, pause, type Pace } from "./pace.ts";

/** How long what is under way at the end may still take. */
const DRAIN_MS_MAX = 10_000;
/** Connections opened at once. */
const OPENING = 25;
/** Messages a publisher may have under way at a fixed rate: enough to sit out a pause of a second. */
const FIXED_RATE_WINDOW = 1_000;

type Measures = { readonly ack: Histogram; readonly forward: Histogram; readonly late: Histogram };

/** Publishers against subscribers: warms up, measures, waits for the rest, counts what is missing. */
export async function runLoad(job: LoadJob, marks: Marks): Promise<LoadResult> {
  const measures = { ack: new Histogram(), forward: new Histogram(), late: new Histogram() };
  const subscribers = await openSubscribers(job);
  const publishers = await openAll(job.endpoint, job.publishers, "publisher");
  const flows = publishers.map((connection, index) => makeFlow(job, connection, index, measures));
  const pace =
    job.rate === undefined ? closedWindow(flows) : fixedRate(flows, job.rate, measures.late);
  for (const [index, connection] of publishers.entries()) {
    publishOn(connection, flows[index], pace);
  }
  for (const connection of subscribers) receiveOn(connection, flows, pace);

  pace.start();
  await pause(job.warmupMs);
  const measured = await measure(job, flows, measures, marks);
  pace.stop();
  await drained(flows);
  const everybody = [...publishers, ...subscribers];
  const failure = everybody.find((connection) => connection.failure !== undefined)?.failure;
  if (failure !== undefined) throw failure;
  for (const connection of everybody) connection.close();
  return {
    kind: "load",
    ...measured,
    lost: total(flows, (flow) => flow.lost),
    reordered: total(flows, (flow) => flow.reordered),
    duplicated: total(flows, (flow) => flow.duplicated),
    unacknowledged: total(flows, (flow) => flow.sent - flow.acked),
  };
}

/** Opens so many connections with clean sessions. */
export async function openAll(
  endpoint: Endpoint,
  count: number,
  name: string,
): Promise<readonly Connection[]> {
  const opened: Connection[] = [];
  while (opened.length < count) {
    const batch = Math.min(OPENING, count - opened.length);
    const opening = Array.from({ length: batch }, async (_, nth) =>
      Connection.open(endpoint, { clientId: `${name}-${opened.length + nth}`, clean: true }),
    );
    opened.push(...(await Promise.all(opening)));
  }
  return opened;
}

/** Those that read; the frozen ones hang on, whatever the broker does to them. */
async function openSubscribers(job: LoadJob): Promise<readonly Connection[]> {
  const reading: Connection[] = [];
  for (const [nth, { filter, qos, clean, presence }] of job.subscribers.entries()) {
    const connection = await Connection.open(job.endpoint, {
      clientId: `subscriber-${nth}`,
      clean,
    });
    await connection.subscribe(filter, qos);
    if (presence === "frozen") connection.freeze();
    else if (presence === "absent") connection.close();
    else reading.push(connection);
  }
  return reading;
}

function makeFlow(job: LoadJob, connection: Connection, index: number, measures: Measures): Flow {
  return new Flow(connection, {
    index,
    topic: job.topic.replace("{i}", String(index).padStart(3, "0")),
    payloadBytes: job.payloadBytes,
    window: job.rate === undefined ? job.window : FIXED_RATE_WINDOW,
    isForwarded: job.subscribers.some(({ presence }) => (presence ?? "reads") === "reads"),
    ack: measures.ack,
    forward: measures.forward,
  });
}

function publishOn(connection: Connection, flow: Flow | undefined, pace: Pace): void {
  if (flow === undefined) return;
  connection.listen({
    onPuback: (packetId) => flow.onPuback(packetId, performance.now()),
    onRead: () => pace.refill(flow),
  });
}

/** Acknowledges what comes, all of one read in one write, and lets those publish whose it was. */
function receiveOn(connection: Connection, flows: readonly Flow[], pace: Pace): void {
  const packetIds: number[] = [];
  const touched = new Set<Flow>();
  connection.listen({
    onPublish: (packetId, bytes, from) => {
      if (packetId !== 0) packetIds.push(packetId);
      const { index, sequence } = readPayload(bytes, from);
      const flow = flows[index];
      if (flow === undefined) return;
      flow.onForwarded(sequence, performance.now());
      touched.add(flow);
    },
    onRead: () => {
      if (packetIds.length > 0) connection.write(encodePubacks(packetIds));
      packetIds.length = 0;
      for (const flow of touched) pace.refill(flow);
      touched.clear();
    },
  });
}

async function measure(
  job: LoadJob,
  flows: readonly Flow[],
  { ack, forward, late }: Measures,
  marks: Marks,
): Promise<
  Pick<LoadResult, "messages" | "seconds" | "perSecond" | "ack" | "forward" | "lateMs99" | "cpu">
> {
  for (const histogram of [ack, forward, late]) histogram.reset();
  const before = total(flows, (flow) => flow.delivered);
  const cpuBefore = process.cpuUsage();
  const begunMs = performance.now();
  marks.started();
  await pause(job.measureMs);
  const seconds = (performance.now() - begunMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const messages = total(flows, (flow) => flow.delivered) - before;
  marks.ended();
  return {
    messages,
    seconds,
    perSecond: messages / seconds,
    ack: latencyOf(ack),
    forward: latencyOf(forward),
    lateMs99: late.quantile(0.99),
    cpu: (user + system) / 1e6 / seconds,
  };
}

async function drained(flows: readonly Flow[]): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  while (performance.now() < deadlineMs) {
    if (flows.every((flow) => flow.completed === flow.sent)) return;
    await pause(20);
  }
}

function total(flows: readonly Flow[], of: (flow: Flow) => number): number {
  return flows.reduce((sum, flow) => sum + of(flow), 0);
}
