import type { MqttClient } from "mqtt";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { makeDice, type Dice } from "../../crash/dice.ts";
import { connectClient, type Login } from "../../crash/mqtt-client.ts";
import { readRemains } from "../../crash/remains.ts";
import { FaultProxy, misbehave } from "../fault-proxy.ts";
import { checkPeers, type PeerFault, type Side } from "./check-peers.ts";
import { Actor, Reporter, WINDOW } from "./devices.ts";
import { Gateway } from "./gateway.ts";
import { freePort } from "./waiting.ts";

export type PeerReport = {
  readonly faults: readonly PeerFault[];
  readonly kills: number;
  readonly written: number;
  readonly requests: number;
  readonly connections: number;
};

/** Set on both sides: many, so that the last word on some of them falls at a bad moment. */
const TARGETS = Array.from({ length: 30 }, (_, nth) => `target-${nth}`);
const REPORTERS = ["meter", "press"] as const;
/** Longer than a value that lost waits for an echo that does not come, and some. */
const QUIET_MS = 12_000;
const SETTLE_MS_MAX = 120_000;

/**
 * Two gateways, the one below a `peer` of the one above, behind a line that misbehaves: devices report
 * below, people set and ask above, both set the same properties, and both are killed.
 */
export async function runPeers(
  t: Test,
  { rounds, seed, lifeMsMax }: { rounds: number; seed: number; lifeMsMax: number },
): Promise<PeerReport> {
  const dice = makeDice(seed);
  const [below, above] = [await newGateway(t, dice), await newGateway(t, dice)];
  const proxy = await FaultProxy.start(t, above.mqttPort);
  await connectPeers(below, above, proxy.port);
  const reporters = REPORTERS.map(
    (thing) => new Reporter(below.login(thing), thing, dice.fork(thing)),
  );
  const actor = await Actor.start(below.login("actor"));
  const setters = [
    new Setter(below.login("panel"), { names: TARGETS, first: 1 }, dice.fork("below")),
    new Setter(above.login("office"), { names: TARGETS, first: 2 }, dice.fork("above")),
    new Setter(above.login("plan"), { names: ["setpoint"], first: 1 }, dice.fork("plan")),
  ];
  const all = [...reporters, ...setters];
  t.teardown(() => [...all, actor].forEach((one) => one.stop()));
  let requests = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const one of all) one.report();
    const until = AbortSignal.timeout(1 + dice.below(lifeMsMax));
    const happened = misbehave(proxy, dice.fork(`line ${round}`), until);
    const input = (requests += 1);
    await above.ask("POST", "/site/things/actor/actions/do", { do: { input } });
    await happened;
    if (dice.chance(0.7)) await below.kill();
    if (dice.chance(0.2)) await above.kill();
  }
  for (const one of all) await one.pause();
  const values = await settle(below, above, () => actor.unanswered);
  actor.stop();
  for (const one of all) one.stop();
  await below.stop();
  await above.stop();
  const side = async ({ path, kills }: Gateway): Promise<Side> => {
    const { changes, things } = await readRemains(path);
    const ids = new Map([...things].map(([number, { id }]) => [number, id]));
    return { changes, things: ids, repeatedMax: WINDOW * kills };
  };
  const writes = reporters.flatMap((reporter) => reporter.writes);
  const set = setters.flatMap(({ values: own }) => own.length).reduce((a, b) => a + b, 0);
  const sides = { below: await side(below), above: await side(above) };
  return {
    faults: checkPeers({ ...sides, writes, values }),
    kills: below.kills + above.kills,
    written: writes.length + set,
    requests,
    connections: proxy.accepted,
  };
}

async function newGateway(t: Test, dice: Dice): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-peers-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const ports = [await freePort(dice), await freePort(dice)] as const;
  const gateway = new Gateway(t, { path: join(directory, "store"), ports });
  await gateway.serve();
  await gateway.makeLogin();
  return gateway;
}

async function connectPeers(below: Gateway, above: Gateway, port: number): Promise<void> {
  const number = { type: "number" };
  const reporter = { properties: { level: number }, events: { tick: { data: number } } };
  for (const thing of REPORTERS) await below.ask("PUT", `/site/things/${thing}`, reporter);
  await below.ask("PUT", "/site/things/actor", {
    properties: Object.fromEntries(["setpoint", ...TARGETS].map((name) => [name, number])),
    actions: { do: { input: number } },
  });
  const { username, password } = await above.makeLogin();
  await below.ask("PUT", "/gateway/uplinks/up", {
    url: `mqtt://127.0.0.1:${port}`,
    ...{ shape: "peer", protocol: 4, username, password },
    retry: { min_s: 0.1, max_s: 0.5 },
    window: 50,
  });
  for (;;) {
    const { data } = (await above.ask("GET", "/site/things")) as { data: readonly unknown[] };
    if (data.length === REPORTERS.length + 1) return;
    await sleep(50); // A poll: until what is below is known above.
  }
}

/** Until nothing has changed on either side for a while; resolves with the values of both. */
async function settle(
  below: Gateway,
  above: Gateway,
  unanswered: () => number,
): Promise<readonly [below: string, above: string]> {
  let seen = "";
  let sinceMs = performance.now();
  const startMs = sinceMs;
  for (;;) {
    const sides = [await valuesOf(below), await valuesOf(above)] as const;
    const { depth } = (await below.ask("GET", "/gateway/uplinks/up")) as {
      depth: { readonly rows: number };
    };
    const now = JSON.stringify([sides, await sequenceOf(below), await sequenceOf(above), depth]);
    if (now !== seen || unanswered() > 0 || depth.rows > 0) {
      seen = now;
      sinceMs = performance.now();
    }
    const isQuiet = performance.now() - sinceMs > QUIET_MS;
    if (isQuiet || performance.now() - startMs > SETTLE_MS_MAX) return isQuiet ? sides : [now, ""];
    await sleep(100); // A poll: a gateway says how it stands when it is asked.
  }
}

async function valuesOf(gateway: Gateway): Promise<string> {
  const all: unknown[] = [];
  for (const thing of [...REPORTERS, "actor"]) {
    const values = await gateway.ask("GET", `/site/things/${thing}/properties`);
    all.push(Object.entries(values as object).sort(([a], [b]) => a.localeCompare(b)));
  }
  return JSON.stringify(all);
}

async function sequenceOf(gateway: Gateway): Promise<number> {
  const { store } = (await gateway.ask("GET", "/gateway")) as { store: { sequence: number } };
  return store.sequence;
}

/** Somebody who sets properties to one number after the other, every second one. */
class Setter {
  readonly values: number[] = [];
  readonly #client: MqttClient;
  readonly #dice: Dice;
  readonly #names: readonly string[];
  readonly #first: number;
  #timer: NodeJS.Timeout | undefined;
  #unanswered = 0;

  constructor(
    login: Login,
    { names, first }: { readonly names: readonly string[]; readonly first: number },
    dice: Dice,
  ) {
    this.#client = connectClient(login);
    this.#names = names;
    this.#first = first;
    this.#dice = dice;
  }

  report(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#unanswered < 4) this.#set();
      this.report();
    }, this.#dice.below(40));
  }

  async pause(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#unanswered > 0) await sleep(20); // A poll: until all of it is acknowledged.
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#client.end(true);
  }

  #set(): void {
    const value = this.#first + 2 * this.values.length;
    this.values.push(value);
    this.#unanswered += 1;
    const name = this.#dice.pick(this.#names);
    const topic = `set/site/things/actor/properties/${name}`;
    this.#client.publish(topic, JSON.stringify({ [name]: value }), { qos: 1 }, () => {
      this.#unanswered -= 1;
    });
  }
}
