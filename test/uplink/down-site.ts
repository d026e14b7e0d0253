import type { Test } from "tap";
import type { InteractionDeps } from "../../src/interactions/deps.ts";
import type { Owed } from "../../src/store/outbox-items.ts";
import { UplinkMemory } from "../../src/store/uplink-memory.ts";
import type { Uplink } from "../../src/store/uplinks.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { Down } from "../../src/uplink/down.ts";
import type { DownMessage, UpMessage } from "../../src/uplink/message.ts";
import { makeTopicMapping } from "../../src/uplink/topic-mapping.ts";
import { ACCOUNT, makeBoiler, startHarness, type Harness } from "../interactions/harness.ts";

const UPLINK: Uplink = {
  number: 3,
  name: "plant",
  settings: {},
  isPaused: false,
  created: 0,
  modified: 0,
  revision: 1,
};

export type DownSite = {
  readonly harness: Harness;
  /** Changes with each restart. */
  deps: InteractionDeps;
  down: Down;
  memory: UplinkMemory;
  readonly thing: Thing;
  /** What was told upstream besides. */
  readonly told: UpMessage[];
  /** Sequences of changes that upstream has not acknowledged. */
  readonly owed: Set<number>;
  /** The whole process ends without a word and starts again. */
  readonly restart: () => Promise<void>;
};

export type DownOptions = {
  readonly shape?: "mirror" | "peer";
  readonly envelope?: "none" | "cloudevents";
};

/** What comes down to one Thing, `boiler`, with a store and without a line. Upstream calls the account `up`. */
export async function openDownSite(t: Test, options: DownOptions = {}): Promise<DownSite> {
  const { shape = "mirror", envelope = "none" } = options;
  const harness = await startHarness(t);
  const thing = makeBoiler(harness);
  const told: UpMessage[] = [];
  const owed = new Set<number>();
  const makeDown = (deps: InteractionDeps, memory: UplinkMemory): Down =>
    new Down({
      interactions: deps,
      outbox: { uplink: UPLINK, memory, owes: (_, sequence) => owed.has(sequence) },
      settings: { shape, envelope, window: 10 },
      mapping: makeTopicMapping({ shape, prefix: "x/", accounts: { [ACCOUNT]: "up" } }),
      tell: (message) => told.push(message),
    });
  const memory = new UplinkMemory(harness.deps.store.commit, UPLINK.number);
  const down = makeDown(harness.deps, memory);
  const site: DownSite = {
    harness,
    deps: harness.deps,
    down,
    memory,
    thing,
    told,
    owed,
    restart: async () => {
      await site.deps.store.commit.flushed();
      site.down.stop();
      site.deps = await harness.restart();
      site.memory = new UplinkMemory(site.deps.store.commit, UPLINK.number);
      await site.memory.load(site.deps.store.database);
      site.down = makeDown(site.deps, site.memory);
      await site.down.start();
    },
  };
  await down.start();
  t.teardown(() => site.down.stop());
  return site;
}

let lastPacketId = 0;

/** A message on a topic behind `x/set/up/things/boiler` or, to a peer, `x/status/…`. */
export function message(
  topic: string,
  payload: Json | Buffer,
  more: Partial<DownMessage> = {},
): DownMessage {
  lastPacketId += 1;
  return {
    topic: `x/${topic}`,
    payload: Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload)),
    qos: 1,
    retain: false,
    dup: false,
    packetId: lastPacketId,
    properties: {},
    ...more,
  };
}

/** Takes them; returns how many were acknowledged once everything was on disk. */
export async function takeAll(
  site: DownSite,
  ...messages: readonly DownMessage[]
): Promise<number> {
  let acknowledged = 0;
  for (const one of messages) site.down.take(one, () => (acknowledged += 1));
  await site.deps.store.commit.flushed();
  return acknowledged;
}

export function valueOf(site: DownSite, name: string): Json | undefined {
  return site.deps.store.properties.get(site.thing.number, name)?.value;
}

/** What was told upstream since the last time it was asked. */
export function takeTold(site: DownSite): readonly (readonly [string, JsonObject])[] {
  return site.told.splice(0).map(({ topic, payload }) => {
    return [topic, JSON.parse(payload.toString()) as JsonObject] as const;
  });
}

/** A change of the Thing as the outbox gives it out. */
export function owedValue(site: DownSite, sequence: number, values: JsonObject): Owed {
  const { thing } = site;
  const change = { class: "property", thing: thing.number, at: 0, values, sequence } as const;
  return {
    seq: sequence,
    id: `id-${sequence}`,
    at: 0,
    item: { kind: "change", change, thing },
    isNew: true,
    isBacklog: false,
    isPresent: true,
    bytes: 1,
  };
}
