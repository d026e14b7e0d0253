import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { makeDice, type Dice } from "../../crash/dice.ts";
import { httpTo, type Http } from "../../crash/http.ts";
import { readRemains } from "../../crash/remains.ts";
import { Daemon } from "../../daemon.ts";
import { startMosquitto } from "../brokers.ts";
import { FaultProxy, misbehave } from "../fault-proxy.ts";
import { checkAll, type Fault } from "./check.ts";
import type { Drop } from "./check-losses.ts";
import { Actor, Reporter } from "./devices.ts";
import { Upstream } from "./upstream.ts";
import { freePort, within } from "./waiting.ts";

export type RunOptions = {
  readonly rounds: number;
  readonly seed: number;
  /** The longest life of the gateway, ms. */
  readonly lifeMsMax: number;
  /** Bounds of the outbox that lines as bad as these go over; without: nothing may be lost. */
  readonly isSmall?: boolean;
  /** What is new goes beside the backlog. */
  readonly isLiveFirst?: boolean;
  /** More for the daemon's environment. */
  readonly env?: NodeJS.ProcessEnv;
};

export type RunReport = {
  /** Of the first look that found any. */
  readonly faults: readonly Fault[];
  readonly kills: number;
  readonly written: number;
  readonly received: number;
  readonly commands: number;
  /** Changes that gap records name. */
  readonly dropped: number;
  readonly connections: number;
};

const TOKEN = "slu_uplink-fault-run-administrator";
const REPORTERS = ["meter", "press", "mixer"] as const;
/** Rounds between two looks: each takes the time until everything has arrived. */
const ROUNDS_A_LOOK = 10;
/** Longer than the life of any command that ends by itself. */
const COMMAND_MS_MAX = 3_500;

/**
 * Devices report, an application upstream asks, the line between misbehaves and the gateway is killed,
 * `rounds` times; now and then everything is let arrive and looked at.
 */
export async function runRounds(t: Test, options: RunOptions): Promise<RunReport> {
  const run = await Run.start(t, options);
  let faults: readonly Fault[] = [];
  for (let round = 1; round <= options.rounds && faults.length === 0; round += 1) {
    await run.round(options.lifeMsMax);
    const isLast = round === options.rounds;
    if (isLast || round % ROUNDS_A_LOOK === 0) faults = await run.look({ goOn: !isLast });
  }
  run.stop();
  return { faults, ...run.counts };
}

/** A cut of a quarter of a second goes over them. */
const SMALL_BOUNDS = {
  property: { rows: 20, rule: "keep-newest" },
  event: { rows: 10, rule: "keep-oldest" },
  data: { bytes: 4_096, rule: "keep-newest" },
} as const;

class Run {
  readonly #t: Test;
  readonly #dice: Dice;
  readonly #env: NodeJS.ProcessEnv;
  readonly #path: string;
  readonly #http: Http;
  readonly #proxy: FaultProxy;
  readonly #upstream: Upstream;
  #daemon: Daemon | undefined;
  #reporters: readonly Reporter[] = [];
  #actor: Actor | undefined;
  /** The log when the uplink was made. */
  #since = 0;
  #kills = 0;
  #drops: readonly Drop[] = [];
  readonly #isSmall: boolean;
  readonly #isLiveFirst: boolean;

  private constructor(
    t: Test,
    options: RunOptions,
    parts: {
      readonly dice: Dice;
      readonly path: string;
      readonly ports: readonly [mqtt: number, http: number];
      readonly proxy: FaultProxy;
      readonly upstream: Upstream;
    },
  ) {
    const { dice, path, ports, proxy, upstream } = parts;
    this.#t = t;
    this.#dice = dice;
    this.#path = path;
    this.#proxy = proxy;
    this.#upstream = upstream;
    this.#http = httpTo(ports[1], TOKEN);
    this.#isSmall = options.isSmall ?? false;
    this.#isLiveFirst = options.isLiveFirst ?? false;
    this.#env = {
      SLUICE_STORE__PATH: path,
      SLUICE_MQTT__PORT: String(ports[0]),
      SLUICE_HTTP__PORT: String(ports[1]),
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
      // Bounds that would rightly refuse what is looked for.
      SLUICE_LIMITS__PENDING_ACTIONS_PER_THING: "100000",
      SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
      ...options.env,
    };
  }

  static async start(t: Test, options: RunOptions): Promise<Run> {
    const directory = mkdtempSync(join(tmpdir(), "sluice-uplink-"));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const dice = makeDice(options.seed);
    const { port } = await startMosquitto(t, (own) => [
      `listener ${own} 127.0.0.1`,
      "allow_anonymous true",
      // Upstream must lose nothing: what it drops no gateway could know of.
      "max_queued_messages 0",
    ]);
    const proxy = await FaultProxy.start(t, port);
    const upstream = await Upstream.start(port, dice.fork("upstream"));
    t.teardown(() => upstream.stop());
    const ports = [await freePort(dice), await freePort(dice)] as const;
    const path = join(directory, "store");
    const run = new Run(t, options, { dice, path, ports, proxy, upstream });
    await run.#provision(ports[0]);
    return run;
  }

  get counts(): Omit<RunReport, "faults"> {
    const writes = this.#reporters.map((reporter) => reporter.writes.length);
    return {
      kills: this.#kills,
      written: writes.reduce((sum, count) => sum + count, 0),
      received: this.#upstream.received.length,
      commands: this.#upstream.commands.length,
      dropped: this.#drops.reduce((sum, { count }) => sum + count, 0),
      connections: this.#proxy.accepted,
    };
  }

  /** One life of the gateway behind a bad line; at its end it is killed, or goes on. */
  async round(lifeMsMax: number): Promise<void> {
    this.#upstream.ask(60);
    for (const reporter of this.#reporters) reporter.report();
    const until = AbortSignal.timeout(1 + this.#dice.below(lifeMsMax));
    if (this.#isSmall && this.#dice.chance(0.2)) await this.#setUp(1 + this.#dice.below(100));
    const happened = misbehave(this.#proxy, this.#dice.fork(`line ${this.#kills}`), until);
    await happened;
    if (this.#dice.chance(0.2)) return;
    this.#daemon?.signal("SIGKILL");
    const { code, stderr } = (await this.#daemon?.ended) ?? { code: null, stderr: "" };
    if (code !== null) throw new Error(`the gateway ended with ${code}\n${stderr}`);
    this.#kills += 1;
    if (this.#dice.chance(0.3)) await this.#proxy.cut();
    const serving = this.#serve();
    if (this.#dice.chance(0.5)) await sleep(this.#dice.below(400)); // The line is away meanwhile.
    await this.#proxy.mend();
    await serving;
  }

  /** Lets everything arrive, stops the gateway, and looks at both sides. */
  async look({ goOn }: { readonly goOn: boolean }): Promise<readonly Fault[]> {
    await within(this.#drain(), "not everything arrived", async () => this.#describe());
    this.#daemon?.signal("SIGTERM");
    const { code, stderr } = (await this.#daemon?.ended) ?? { code: null, stderr: "" };
    if (code !== 0) throw new Error(`the gateway stopped with ${String(code)}\n${stderr}`);
    const remains = await readRemains(this.#path);
    const faults = checkAll({
      changes: remains.changes.filter(({ sequence }) => sequence > this.#since),
      things: new Map([...remains.things].map(([number, { id }]) => [number, id])),
      writes: this.#reporters.flatMap(({ writes }) => writes),
      received: this.#upstream.received,
      commands: this.#upstream.commands,
      told: this.#actor?.told ?? new Map(),
      drops: this.#isSmall ? this.#drops : undefined,
      isLiveFirst: this.#isLiveFirst,
    });
    if (goOn && faults.length === 0) await this.#serve();
    return faults;
  }

  stop(): void {
    this.#upstream.stop();
    this.#actor?.stop();
    for (const reporter of this.#reporters) reporter.stop();
  }

  async #serve(): Promise<void> {
    this.#daemon = new Daemon(this.#t, [], this.#env);
    await within(this.#daemon.ready, "the gateway did not start");
  }

  async #provision(mqttPort: number): Promise<void> {
    await this.#serve();
    const number = { type: "number" };
    const reporter = { properties: { level: number }, events: { tick: { data: number } } };
    const actor = { properties: { setpoint: number }, actions: { do: { input: number } } };
    for (const thing of REPORTERS) await this.#ask("PUT", `/site/things/${thing}`, reporter);
    await this.#ask("PUT", "/site/things/actor", actor);
    const entities = ["things", "data"].map((entity) => ({ entity, id: ["*"] }));
    const made = await this.#ask("POST", "/site/mqtt", { resources: entities });
    const { username, password } = made as { username: string; password: string };
    const { store } = (await this.#ask("GET", "/gateway")) as { store: { sequence: number } };
    this.#since = store.sequence;
    await this.#setUp(50);
    // What is asked before it has ever subscribed does not reach it.
    while (!(await this.#describe()).includes('"connected"')) await sleep(50);
    const login = (clientId: string) => ({ port: mqttPort, clientId, username, password });
    this.#reporters = REPORTERS.map(
      (thing) => new Reporter(login(thing), thing, this.#dice.fork(thing)),
    );
    this.#actor = await Actor.start(login("actor"));
    this.#t.teardown(() => this.stop());
  }

  async #setUp(window: number): Promise<void> {
    await this.#ask("PUT", "/gateway/uplinks/up", {
      url: `mqtt://127.0.0.1:${this.#proxy.port}`,
      retry: { min_s: 0.1, max_s: 0.5 },
      window,
      order: this.#isLiveFirst ? "live-first" : "strict",
      ...(this.#isSmall ? { bounds: SMALL_BOUNDS } : {}),
    });
  }

  /** Until nobody has anything left to say, for as long as commands live. */
  async #drain(): Promise<void> {
    await this.#upstream.pause();
    for (const reporter of this.#reporters) await reporter.pause();
    let seen = "";
    let sinceMs = performance.now();
    for (;;) {
      const now = await this.#describe();
      const { received, commands } = this.#upstream;
      const state = JSON.stringify([now, received.length, commands.length]);
      if (state !== seen || !now.startsWith('{"owed":0,')) {
        seen = state;
        sinceMs = performance.now();
      } else if (performance.now() - sinceMs > COMMAND_MS_MAX) {
        return;
      }
      await sleep(100); // A poll: the gateway says how it stands when it is asked.
    }
  }

  /** How the uplink stands, without what changes by itself. */
  async #describe(): Promise<string> {
    const shown = await this.#ask("GET", "/gateway/uplinks/up");
    const { state, last_error, acked_seq, depth, down, drops } = shown as Record<string, unknown>;
    const { rows } = depth as { rows: number };
    const { broker } = (await this.#ask("GET", "/gateway")) as { broker: { refused: unknown } };
    const { refused } = broker;
    const unanswered = this.#actor?.unanswered ?? 0;
    this.#drops = drops as readonly Drop[];
    const line = { state, last_error, acked_seq, down, drops };
    return JSON.stringify({ owed: rows + unanswered, unanswered, refused, ...line });
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.#http(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }
}
