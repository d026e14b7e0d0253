import { Connection } from "./connection.ts";
import { encodePublish } from "./frames.ts";
import type { Marks, RetainedJob, RetainedResult } from "./job.ts";
import { openAll } from "./load.ts";

/** Messages under way while the retained ones are put there. */
const FILL_WINDOW = 100;
/** Times that so many at once are measured. */
const REPEATS = 5;
const WAIT_MS_MAX = 60_000;

/** How long a SUBSCRIBE to an exact topic takes while many retained messages are kept. */
export async function runRetained(job: RetainedJob, marks: Marks): Promise<RetainedResult> {
  await fill(job);
  marks.started();
  const singles = await openAll(job.endpoint, job.singles, "single");
  const ones: number[] = [];
  for (const [nth, connection] of singles.entries()) {
    ones.push(await timeToMessage(connection, topicOf(job, nth * 97 + 3)));
  }
  const atOnce: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const connections = await openAll(job.endpoint, job.atOnce, `at-once-${repeat}`);
    const begunMs = performance.now();
    await Promise.all(
      connections.map(async (connection, nth) =>
        timeToMessage(connection, topicOf(job, nth * 89 + repeat * 13 + 7)),
      ),
    );
    atOnce.push(performance.now() - begunMs);
  }
  marks.ended();
  return { kind: "retained", oneMs: middle(ones), atOnceMs: middle(atOnce) };
}

/** Publishes every retained message and waits for each acknowledgement. */
async function fill(job: RetainedJob): Promise<void> {
  const connection = await Connection.open(job.endpoint, { clientId: "filler", clean: true });
  const payload = Buffer.from(`{"p":"${"x".repeat(Math.max(0, job.payloadBytes - 8))}"}`);
  let sent = 0;
  let acked = 0;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${acked} of ${job.retained} retained messages after a minute`)),
      WAIT_MS_MAX,
    );
    const publish = (): void => {
      const frames: Buffer[] = [];
      while (sent < job.retained && sent - acked < FILL_WINDOW) {
        const packetId = (sent % FILL_WINDOW) + 1;
        frames.push(encodePublish(packetId, topicOf(job, sent), payload, true));
        sent += 1;
      }
      if (frames.length > 0) connection.write(Buffer.concat(frames));
      if (acked < job.retained) return;
      clearTimeout(timer);
      resolve();
    };
    connection.listen({ onPuback: () => (acked += 1), onRead: publish });
    publish();
  });
  connection.close();
}

/** ms until the SUBACK and the retained message are both there. */
async function timeToMessage(connection: Connection, topic: string): Promise<number> {
  const begunMs = performance.now();
  const message = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no retained message on ${topic}`)),
      WAIT_MS_MAX,
    );
    connection.listen({
      onPublish: () => {
        clearTimeout(timer);
        resolve();
      },
    });
  });
  await Promise.all([connection.subscribe(topic, 0), message]);
  return performance.now() - begunMs;
}

function topicOf({ topicPrefix, retained }: RetainedJob, nth: number): string {
  return topicPrefix + String(nth % retained).padStart(6, "0");
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
