import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { makeDice } from "../crash/dice.ts";
import { httpTo } from "../crash/http.ts";
import { Ledger, type Existence, type Write } from "../crash/ledger.ts";
import { Load } from "../crash/load.ts";
import { connectClient } from "../crash/mqtt-client.ts";
import { FREE_TREE, provision } from "../crash/site.ts";
import { Daemon } from "../daemon.ts";
import { buildDisk, type Node } from "./disk.ts";
import { makeRecorder, readTrace } from "./trace.ts";

export const ADMIN_TOKEN = "slu_power-cut-test-administrator";

/** A point of time, and what had been answered by then. */
export type Moment = {
  /** ns of CLOCK_MONOTONIC, as the times of the trace. */
  readonly at: bigint;
  readonly tick: number;
  readonly things: readonly Existence[];
  readonly credentials: readonly Existence[];
};

export type Recorded = {
  /** A folder of which `store` is the daemon's. */
  readonly disk: Node;
  readonly moments: readonly Moment[];
  readonly ledger: Ledger;
  /** Answers that nobody should have got. */
  readonly complaints: readonly string[];
  /** For other files that go with the test. */
  readonly folder: string;
};

type RecordingOptions = {
  readonly seed: number;
  /** How long each of the two lives of the daemon is under load. */
  readonly lifeMs: number;
  /** More for the daemon's environment. */
  readonly env?: NodeJS.ProcessEnv;
};

/** So much of what is written does not matter, but makes LevelDB begin new logs and tables. */
const BULK_BYTES = 200_000;
const BULK_EVERY_MS = 30;
const NOTE_EVERY_MS = 10;

/** Records the daemon: a first start, use in every way at once, SIGKILL, and a second life. */
export async function record(t: Test, options: RecordingOptions): Promise<Recorded> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-powercut-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const root = join(folder, "root");
  mkdirSync(root);
  const trace = join(folder, "trace");
  const dice = makeDice(options.seed);
  const ledger = new TimedLedger();
  // Moments also while it starts, and at times at which nothing is answered.
  const clock = setInterval(() => ledger.note(), NOTE_EVERY_MS);
  t.teardown(() => clearInterval(clock));
  const env = { ...makeRecorder(join(folder, "recorder.so"), root, trace), ...options.env };
  const start = (ports: { readonly mqtt: number; readonly http: number }): Daemon =>
    new Daemon(t, [], environmentOf(join(root, "store"), ports, env));
  const first = start({ mqtt: 0, http: 0 });
  const { mqttPort, httpPort } = await first.ready;
  const http = httpTo(httpPort, ADMIN_TOKEN);
  const logins = await provision(http, mqttPort);
  const load = new Load({ http, logins, ledger, dice });
  t.teardown(() => load.stop());
  await load.start();
  const bulk = connectClient({ ...logins.free, clientId: "bulk" });
  t.teardown(() => bulk.end(true));
  const text = dice
    .fork("bulk")
    .below(2 ** 32)
    .toString(36);
  const timer = setInterval(() => {
    const payload = text.repeat(BULK_BYTES / text.length);
    bulk.publish(`${BULK_TREE}/${ledger.now % 5}`, payload, { qos: 1, retain: true });
  }, BULK_EVERY_MS);
  t.teardown(() => clearInterval(timer));
  await sleep(options.lifeMs);
  load.down();
  first.signal("SIGKILL");
  await first.ended;
  const second = start({ mqtt: mqttPort, http: httpPort });
  await second.ready;
  load.up();
  await sleep(options.lifeMs);
  load.stop();
  clearInterval(timer);
  clearInterval(clock);
  second.signal("SIGKILL");
  await second.ended;
  const disk = buildDisk(readTrace(readFileSync(trace)), root);
  rmSync(root, { recursive: true });
  const { complaints } = load;
  return { disk, moments: ledger.moments, ledger, complaints, folder };
}

export const BULK_TREE = `${FREE_TREE}/bulk`;

export function environmentOf(
  path: string,
  ports: { readonly mqtt: number; readonly http: number },
  env: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv {
  return {
    SLUICE_STORE__PATH: path,
    SLUICE_MQTT__PORT: String(ports.mqtt),
    SLUICE_HTTP__PORT: String(ports.http),
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
    SLUICE_MQTT__FREE_TOPICS: "true",
    SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: "1000000",
    SLUICE_LIMITS__SESSION_QUEUE_BYTES: "1073741824",
    SLUICE_LIMITS__PENDING_ACTIONS_PER_THING: "100000",
    SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
    ...env,
  };
}

/** A ledger that notes moments: one right after each acknowledgement, when it must be on disk. */
class TimedLedger extends Ledger {
  readonly moments: Moment[] = [];

  override acknowledge(write: Write): void {
    super.acknowledge(write);
    this.note();
  }

  note(): void {
    const copy = (all: readonly Existence[]): readonly Existence[] =>
      all.map((each) => ({ ...each }));
    this.moments.push({
      at: process.hrtime.bigint(),
      tick: this.now,
      things: copy(this.things),
      credentials: copy(this.credentials),
    });
  }
}

/** The ledger as it stood at a moment: what was answered later does not have to be there. */
export function ledgerAt(ledger: Ledger, { tick, things, credentials }: Moment): Ledger {
  return new Proxy(ledger, {
    get: (target, member) => {
      switch (member) {
        case "acknowledged":
          return () => target.acknowledged(tick);
        case "whyNotLast":
          return (cell: string, value: unknown) => target.whyNotLast(cell, value, tick);
        case "things":
          return things;
        case "credentials":
          return credentials;
        default: {
          const value: unknown = Reflect.get(target, member, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        }
      }
    },
  });
}
