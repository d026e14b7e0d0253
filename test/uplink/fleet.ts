import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectAsync, type IClientOptions } from "mqtt";
import type { Test } from "tap";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { startGateway, type Gateway } from "../../src/gateway.ts";
import { makeDice, type Dice } from "../crash/dice.ts";
import { QUIET_LOG } from "../store/quiet-log.ts";
import { startMosquitto, temporaryFolder, type Broker } from "./brokers.ts";
import { judge, type Accepted, type Heard } from "./fleet-check.ts";

export type FleetOptions = {
  readonly gateways: number;
  /** Values that each gateway is given: a third each before, during and after the outage. */
  readonly changes: number;
  readonly seed: number;
};

export type FleetReport = {
  readonly faults: readonly string[];
  readonly written: number;
  readonly heard: number;
  readonly repeated: number;
  readonly gaps: number;
  /** Until every gateway was connected, before anything was written. */
  readonly startS: number;
  /** While the line was up, from the first write until the last value of that part had come. */
  readonly perS: number;
  /** From the broker's return until everything had come, what was written meanwhile included. */
  readonly drainS: number;
  readonly totalS: number;
  /** Of this process: all gateways, their stores and the historian. */
  readonly residentMiB: number;
};

const TOKEN = "slu_aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const THINGS = ["boiler", "meter", "pump"] as const;
const NAMES = ["p", "q"] as const;
const NUMBERS = Object.fromEntries(NAMES.map((name) => [name, { type: "number" }]));
const STARTED_AT_ONCE = 4;
/** One with an account of its own, then one with a prefix, and so on. */
const COMMANDED_EACH = 7;
const PATIENCE_MS = 120_000;

/** Of no gateway; what a subscription finds retained comes before what is published to it later. */
const FENCE = "plants/fence";

/** As docs/fleet.md has it: an account each, and for some a prefix each. */
type Member = Omit<Accepted, "things"> & {
  readonly gateway: Gateway;
  readonly dice: Dice;
  readonly things: Map<string, string[]>;
};

/** Many whole gateways, one mosquitto that is restarted while they write, one historian. */
export async function runFleet(t: Test, options: FleetOptions): Promise<FleetReport> {
  const startMs = performance.now();
  const { port, broker } = await startMosquitto(t, (own, place) => [
    ...[`listener ${own} 127.0.0.1`, "allow_anonymous true"],
    ...["persistence true", `persistence_location ${place}/`, "max_queued_messages 0"],
  ]);
  const historian = await listen(t, port, {
    ...{ clientId: "historian", clean: false, properties: { sessionExpiryInterval: 600 } },
  });
  const members = await startMembers(t, port, options);
  const roots = members.map(({ root }) => root);
  await historian.until("all are online", ({ states }) => areAll(roots, states, "online"));
  const startS = secondsSince(startMs);

  const { perS, drainS } = await writeOver(broker, historian, members, options);
  const commanded = members.filter((_, index) => index % COMMANDED_EACH === 0);
  for (const member of commanded) await command(historian, member);

  const verdicts = members.map((member) => judge(member, historian.heard));
  const residentMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
  const late = await listen(t, port);
  await late.until("online is retained", ({ states }) => areAll(roots, states, "online"));
  // Of a gateway its presence is retained ahead of its values: those are still to come.
  await late.publish(FENCE, "");
  await late.until("all that is retained", ({ heard }) =>
    heard.some(({ topic }) => topic === FENCE),
  );
  const retained = members.flatMap((member) => checkRetained(member, late.heard));
  const faults = [...verdicts.flatMap((verdict) => verdict.faults), ...retained];
  await Promise.all(members.map(async ({ gateway }) => gateway.stop()));
  await late.until("all have gone", ({ states }) => areAll(roots, states, "offline"));
  const after = await listen(t, port);
  await after.until("offline is retained", ({ states }) => areAll(roots, states, "offline"));
  const sum = (of: "repeated" | "gaps"): number =>
    verdicts.reduce((total, verdict) => total + verdict[of], 0);
  return {
    ...{ faults, written: members.length * options.changes + commanded.length },
    ...{ heard: historian.heard.length },
    ...{ repeated: sum("repeated"), gaps: sum("gaps") },
    ...{ startS, perS, drainS, totalS: secondsSince(startMs), residentMiB },
  };
}

/** Values while the line is up, while the broker goes and is away, and while it comes back. */
async function writeOver(
  broker: Broker,
  historian: Listener,
  members: readonly Member[],
  { changes }: FleetOptions,
): Promise<Pick<FleetReport, "perS" | "drainS">> {
  const part = Math.floor(changes / 3);
  const write = async (count: number): Promise<unknown> =>
    Promise.all(members.map(async (member) => writeValues(member, count)));
  const allCame = (written: number) => (): boolean =>
    historian.values.size >= members.length * written;
  const firstMs = performance.now();
  await write(part);
  await historian.until("what was written while the line was up", allCame(part));
  const perS = Math.round((members.length * part) / secondsSince(firstMs));

  const second = write(part);
  await broker.stop();
  await second;
  const backMs = performance.now();
  await broker.start();
  await write(changes - 2 * part);
  await historian.until("what was written since", allCame(changes));
  return { perS, drainS: secondsSince(backMs) };
}

/** An application sets a value at one gateway; that no other takes it shows in what is heard of them. */
async function command(historian: Listener, { root, things }: Member): Promise<void> {
  const payload = JSON.stringify({ p: -1 });
  const topic = `${root}/things/boiler/properties/p`;
  await historian.publish(topic.replace("status/", "set/"), payload);
  const isDone = (heard: Heard): boolean => heard.topic === topic && heard.payload === payload;
  await historian.until(`a command at ${root}`, ({ heard }) => heard.some(isDone));
  things.get("boiler")?.push(payload);
}

/** Whoever comes late finds the present values. */
function checkRetained({ root, things }: Member, heard: readonly Heard[]): readonly string[] {
  const faults: string[] = [];
  for (const [thing, values] of things) {
    for (const name of NAMES) {
      const topic = `${root}/things/${thing}/properties/${name}`;
      const last = values.findLast((payload) => payload.startsWith(`{"${name}"`));
      const shown = heard.findLast((message) => message.topic === topic)?.payload;
      if (shown !== last)
        faults.push(`${topic} has ${shown ?? "nothing"}, not ${last ?? "nothing"}`);
    }
  }
  return faults;
}

async function startMembers(
  t: Test,
  port: number,
  { gateways, seed }: FleetOptions,
): Promise<readonly Member[]> {
  const folder = temporaryFolder(t);
  const dice = makeDice(seed);
  const members: Member[] = [];
  for (let from = 0; from < gateways; from += STARTED_AT_ONCE) {
    const count = Math.min(STARTED_AT_ONCE, gateways - from);
    const starting = Array.from({ length: count }, async (_, index) =>
      startMember(t, join(folder, String(from + index)), from + index, port),
    );
    for (const { gateway, root } of await Promise.all(starting)) {
      const things = new Map(THINGS.map((thing): [string, string[]] => [thing, []]));
      members.push({ gateway, root, things, dice: dice.fork(root) });
    }
  }
  return members;
}

async function startMember(
  t: Test,
  path: string,
  number: number,
  port: number,
): Promise<Pick<Member, "gateway" | "root">> {
  const hasPrefix = number % 4 === 3;
  const name = hasPrefix
    ? `prefix = "plants/${number}/"`
    : `accounts = { site = "plant-${number}" }`;
  const uplink = [
    ...["[[uplink]]", 'name = "fleet"', `url = "mqtt://127.0.0.1:${port}"`, name],
    ...["retry = { min_s = 0.5, max_s = 2 }", "rate = { messages_per_s = 200 }"],
  ];
  writeFileSync(`${path}.toml`, uplink.join("\n"));
  const env = {
    SLUICE_STORE__PATH: path,
    SLUICE_MQTT__PORT: "0",
    SLUICE_HTTP__PORT: "0",
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
  };
  const loaded = loadConfig({ file: `${path}.toml`, env });
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  const gateway = await startGateway(loaded.config, {
    ...{ clock: systemClock("always"), random: systemRandom, log: QUIET_LOG },
    announceToken: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  t.teardown(async () => gateway.stop());
  for (const thing of THINGS) await put(gateway, `/site/things/${thing}`, { properties: NUMBERS });
  return { gateway, root: hasPrefix ? `plants/${number}/status/site` : `status/plant-${number}` };
}

/** One after the other at each Thing, all Things at once; resolves when all are accepted. */
async function writeValues({ gateway, dice, things }: Member, count: number): Promise<void> {
  const drawn = Array.from({ length: count }, () => ({
    thing: dice.pick(THINGS),
    name: dice.pick(NAMES),
    value: dice.below(1_000_000),
  }));
  const atThing = async (thing: string): Promise<void> => {
    for (const { name, value } of drawn.filter((one) => one.thing === thing)) {
      await put(gateway, `/site/things/${thing}/properties/${name}`, { [name]: value });
      things.get(thing)?.push(JSON.stringify({ [name]: value }));
    }
  };
  await Promise.all(THINGS.map(atThing));
}

async function put(gateway: Gateway, path: string, json: unknown): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${gateway.httpPort}${path}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify(json),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`PUT ${path} is ${response.status}`);
}

type Listener = {
  readonly heard: readonly Heard[];
  /** Ids of values. */
  readonly values: ReadonlySet<string>;
  /** The last presence on each topic. */
  readonly states: ReadonlyMap<string, string>;
  readonly until: (what: string, isEnough: (listener: Listener) => boolean) => Promise<void>;
  readonly publish: (topic: string, payload: string) => Promise<unknown>;
};

/** Hears everything of all sites; `until` resolves when what it has heard is enough. */
async function listen(t: Test, port: number, options: IClientOptions = {}): Promise<Listener> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    ...{ protocolVersion: 5, reconnectPeriod: 100, ...options },
  });
  t.teardown(async () => client.endAsync(true));
  const heard: Heard[] = [];
  const values = new Set<string>();
  const states = new Map<string, string>();
  let wake = (): void => undefined;
  client.on("message", (topic, bytes, { properties }) => {
    const marks = { ...properties?.userProperties } as Record<string, string>;
    const payload = bytes.toString();
    heard.push({ topic, payload, marks });
    if (topic.includes("/properties/")) values.add(marks["id"] ?? "");
    if (/\/gateways\/[^/]+$/.test(topic)) {
      states.set(topic, (JSON.parse(payload) as { readonly state: string }).state);
    }
    wake();
  });
  const until: Listener["until"] = async (what, isEnough) => {
    const endMs = performance.now() + PATIENCE_MS;
    const timer = setInterval(() => wake(), 1_000);
    try {
      while (!isEnough(listener)) {
        if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      clearInterval(timer);
    }
  };
  const publish: Listener["publish"] = async (topic, payload) =>
    client.publishAsync(topic, payload, { qos: 1 });
  const listener: Listener = { heard, values, states, until, publish };
  await client.subscribeAsync(["status/#", "plants/#"], { qos: 1 });
  return listener;
}

function areAll(
  roots: readonly string[],
  states: ReadonlyMap<string, string>,
  state: string,
): boolean {
  const own = [...states].filter(([, is]) => is === state).map(([topic]) => topic);
  return (
    states.size === roots.length &&
    roots.every((root) => own.some((topic) => topic.startsWith(`${root}/gateways/`)))
  );
}

function secondsSince(fromMs: number): number {
  return Math.round((performance.now() - fromMs) / 100) / 10;
}
