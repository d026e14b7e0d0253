import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { Daemon } from "../daemon.ts";
import { ApiChecker } from "./check-api.ts";
import { checkMessages, checkStatus } from "./check-deliveries.ts";
import { checkRemains } from "./check-remains.ts";
import { checkWrites } from "./check-writes.ts";
import { makeDice, type Dice } from "./dice.ts";
import type { Fault } from "./fault.ts";
import { httpTo } from "./http.ts";
import { Ledger } from "./ledger.ts";
import { Load } from "./load.ts";
import { readRemains } from "./remains.ts";
import { provision } from "./site.ts";

export type RunOptions = {
  readonly rounds: number;
  readonly seed: number;
  /** The longest life of the gateway under load, ms. */
  readonly lifeMsMax: number;
  /** More for the daemon's environment. */
  readonly env?: NodeJS.ProcessEnv;
};

export type RunReport = {
  /** Of the first round that had any. */
  readonly faults: readonly Fault[];
  readonly kills: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly delivered: number;
};

const ADMIN_TOKEN = "slu_crash-test-administrator";
/** A start takes about this long: a kill within it meets recovery. */
const START_MS_MAX = 600;
const START_KILL_PROBABILITY = 0.25;
/** Shorter than it takes a client to come back. */
const CUT_MS_MAX = 15;
const CUT_PROBABILITY = 0.5;
const WAIT_MS_MAX = 30_000;
/** Retention looks for what it may sweep no sooner. */
const FIRST_SWEEP_MS = 9_000;

/** Kills the gateway `rounds` times under load, and checks what it left and how it goes on. */
export async function runRounds(t: Test, options: RunOptions): Promise<RunReport> {
  const run = await startRun(t, options);
  const { dice, load, api, ledger } = run;
  let faults: readonly Fault[] = [];
  for (let round = 1; round <= options.rounds && faults.length === 0; round += 1) {
    load.wander(dice);
    await sleep(dice.below(options.lifeMsMax)); // The moment of the kill, not a wait for anything.
    if (dice.chance(CUT_PROBABILITY)) {
      load.cut(dice);
      await sleep(dice.below(CUT_MS_MAX));
    }
    faults = await run.kill();
    if (faults.length === 0 && dice.chance(START_KILL_PROBABILITY)) {
      run.start();
      await sleep(dice.below(START_MS_MAX));
      faults = await run.kill();
    }
    if (faults.length > 0) break;
    await run.serve();
    faults = await api.faults({ all: false });
  }
  if (faults.length === 0) faults = await run.end();
  const { sent, acknowledged } = ledger.counts;
  const delivered = load.watcher.deliveries.length + load.freeWatcher.deliveries.length;
  return { faults, kills: run.kills, sent, acknowledged, delivered };
}

async function startRun(t: Test, options: RunOptions): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-crash-"));
  const dice = makeDice(options.seed);
  const [mqttPort, httpPort] = [await freePort(dice), await freePort(dice)];
  const path = join(directory, "store");
  const run = new Run(t, { dice, path, mqttPort, httpPort, env: options.env ?? {} });
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  await run.begin();
  t.teardown(() => run.load.stop());
  return run;
}

type RunParts = {
  readonly dice: Dice;
  readonly path: string;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly env: NodeJS.ProcessEnv;
};

/** One store, and the gateways that live on it one after the other. */
class Run {
  readonly dice: Dice;
  readonly ledger = new Ledger();
  kills = 0;
  readonly #t: Test;
  readonly #parts: RunParts;
  #daemon: Daemon | undefined;
  #startedMs = 0;
  #isSwept = false;
  #load: Load | undefined;
  #api: ApiChecker | undefined;

  constructor(t: Test, parts: RunParts) {
    this.#t = t;
    this.#parts = parts;
    this.dice = parts.dice;
  }

  get load(): Load {
    return this.#load!;
  }

  get api(): ApiChecker {
    return this.#api!;
  }

  async begin(): Promise<void> {
    const { httpPort, mqttPort, dice } = this.#parts;
    await this.start().ready;
    const http = httpTo(httpPort, ADMIN_TOKEN);
    const { ledger } = this;
    const logins = await provision(http, mqttPort);
    this.#load = new Load({ http, logins, ledger, dice });
    this.#api = new ApiChecker({ http, ledger, probe: logins.probe });
    await this.#load.start();
  }

  start(): Daemon {
    const { path, mqttPort, httpPort, env } = this.#parts;
    this.#startedMs = performance.now();
    this.#daemon = new Daemon(this.#t, [], {
      SLUICE_STORE__PATH: path,
      SLUICE_MQTT__PORT: String(mqttPort),
      SLUICE_HTTP__PORT: String(httpPort),
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
      SLUICE_MQTT__FREE_TOPICS: "true",
      // Bounds that would rightly lose what the checkers look for, or refuse a storm of reconnects.
      SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: "1000000",
      SLUICE_LIMITS__SESSION_QUEUE_BYTES: "1073741824",
      SLUICE_LIMITS__PENDING_ACTIONS_PER_THING: "100000",
      SLUICE_LIMITS__THINGS: "1000000",
      SLUICE_LIMITS__CREDENTIALS: "1000000",
      SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
      SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "0",
      ...env,
    });
    return this.#daemon;
  }

  async serve(): Promise<void> {
    await within(this.start().ready, "the gateway did not start again");
    this.load.up();
  }

  async kill(): Promise<readonly Fault[]> {
    const daemon = this.#daemon!;
    this.load.down();
    daemon.signal("SIGKILL");
    const { code, stdout, stderr } = await daemon.ended;
    if (code !== null) throw new Error(`the gateway ended with ${code}\n${stdout}${stderr}`);
    this.kills += 1;
    return this.#check();
  }

  /** Lets everything arrive, asks for everything, stops the gateway, and checks what it left. */
  async end(): Promise<readonly Fault[]> {
    await within(this.load.drain(), "not everything was answered or arrived");
    const shown = await this.api.faults({ all: true });
    this.load.stop();
    const daemon = this.#daemon!;
    daemon.signal("SIGTERM");
    const { code, stderr } = await daemon.ended;
    if (code !== 0) throw new Error(`the gateway stopped with ${String(code)}\n${stderr}`);
    return [...shown, ...(await this.#check())];
  }

  async #check(): Promise<readonly Fault[]> {
    if (performance.now() - this.#startedMs > FIRST_SWEEP_MS) this.#isSwept = true;
    const remains = await readRemains(this.#parts.path);
    const { watcher, freeWatcher, complaints } = this.load;
    return [
      ...checkRemains(remains, this.#isSwept),
      ...checkWrites(remains, this.ledger),
      ...checkStatus(remains, watcher),
      ...checkMessages(remains, this.ledger, freeWatcher),
      ...complaints.map((detail) => ({ rule: "answers", detail }) as const),
    ];
  }
}

async function within<Value>(promise: Promise<Value>, otherwise: string): Promise<Value> {
  const stop = new AbortController();
  const late = sleep(WAIT_MS_MAX, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${otherwise} within ${WAIT_MS_MAX} ms`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

/**
 * A port that stays free while the gateway is down: below the range from which the system takes
 * ports for outgoing connections, or a client that reconnects might get it, and connect to itself.
 */
async function freePort(dice: Dice): Promise<number> {
  for (;;) {
    const port = 10_000 + dice.below(20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}
