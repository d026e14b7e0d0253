import { readFileSync } from "node:fs";
import { test } from "tap";
import type { RecordedChange } from "../../src/store/changes.ts";
import { checkMessages, checkStatus } from "./check-deliveries.ts";
import { checkRemains } from "./check-remains.ts";
import { checkWrites } from "./check-writes.ts";
import { RULES, type Fault, type Rule } from "./fault.ts";
import { PLANTED_FAULTS } from "./faults-planted.ts";
import { Ledger, type Target, type Write } from "./ledger.ts";
import type { Remains } from "./remains.ts";
import type { Delivery } from "./subscriber.ts";

// A site of one Thing, its level written three times over, and what can be wrong with its remains.

const LEVEL: Target = { kind: "properties", thing: "boiler", names: ["level"] };
const FREE: Target = { kind: "message", topic: "line1/a", retain: true };
const TOPIC = "status/site/things/boiler/properties/level";

type Scene = { readonly ledger: Ledger; readonly writes: readonly Write[]; remains: Remains };

function sceneOf(once = true): Scene {
  const ledger = new Ledger();
  const writes = [1, 2, 3].map(() => ledger.send("device", LEVEL, once));
  for (const write of writes) ledger.acknowledge(write);
  const thing = {
    class: "thing",
    thing: 1,
    at: 0,
    account: "site",
    id: "boiler",
    uid: "u",
  } as const;
  const changes: RecordedChange[] = [
    { ...thing, description: {}, sequence: 1 },
    ...writes.map(({ value }, place) => levelChange(place + 2, value)),
  ];
  return { ledger, writes, remains: remainsOf(changes) };
}

function levelChange(sequence: number, level: number): RecordedChange {
  return { class: "property", thing: 1, at: sequence, values: { level }, sequence };
}

/** All of one Thing, and its rows as they should be. */
function remainsOf(changes: readonly RecordedChange[]): Remains {
  const property = changes.filter((change) => change.class === "property");
  const last = property.at(-1);
  const things = changes.length - property.length;
  const counts = { property: property.length, action: 0, event: 0, data: 0, thing: things };
  return {
    mark: { sequence: changes.at(-1)?.sequence ?? 0, rows: counts, page: counts },
    pages: new Map(),
    damage: [],
    changes,
    index: property.map(({ at, sequence }) => ({
      source: { thing: 1, of: "property", name: "level" },
      moment: { at, sequence },
    })),
    states:
      last === undefined
        ? []
        : [
            {
              thing: 1,
              name: "level",
              value: last.values["level"],
              at: last.at,
              sequence: last.sequence,
            },
          ],
    things: new Map([[1, { id: "boiler", revision: 1 }]]),
    requests: [],
    unfinished: new Map(),
    requestKeys: new Set(),
    deleted: [],
    credentials: new Set(),
    mqtt: {
      lastSession: 0,
      sessions: [],
      queued: [],
      incoming: [],
      wills: new Map(),
      retained: [],
    },
  };
}

function faultsOf({ remains, ledger }: Scene): readonly Fault[] {
  return [...checkRemains(remains, false), ...checkWrites(remains, ledger)];
}

function rulesOf(faults: readonly Fault[]): readonly Rule[] {
  return [...new Set(faults.map(({ rule }) => rule))];
}

await test("nothing is found where nothing is wrong", (t) => {
  t.same(faultsOf(sceneOf()), []);
  t.end();
});

/** What is done to the remains, and what has to be found. */
const DAMAGE: readonly (readonly [
  what: string,
  rules: readonly Rule[],
  harm: (scene: Scene) => Remains,
])[] = [
  [
    "the last write and its rows are gone",
    ["acknowledged", "last"],
    ({ remains }) => remainsOf(remains.changes.slice(0, -1)),
  ],
  [
    "a change is missing between others",
    ["no-hole", "acknowledged"],
    ({ remains }) => remainsOf(remains.changes.filter(({ sequence }) => sequence !== 3)),
  ],
  [
    "a write of QoS 2 was applied twice",
    ["once"],
    ({ remains, writes }) => remainsOf([...remains.changes, levelChange(5, writes[2]!.value)]),
  ],
  [
    "two writes were applied in the other order",
    ["order", "last"],
    ({ remains, writes }) =>
      remainsOf([
        ...remains.changes.slice(0, 2),
        levelChange(3, writes[2]!.value),
        levelChange(4, writes[1]!.value),
      ]),
  ],
  [
    "a value was never sent",
    ["as-sent", "last"],
    ({ remains }) => remainsOf([...remains.changes, levelChange(5, 42)]),
  ],
  ["the mark is behind", ["mark"], ({ remains }) => behind(remains)],
  [
    "a page has fewer rows than were counted",
    ["mark"],
    ({ remains }) => {
      const page = { ...remains.mark.page, property: 9 };
      return { ...remains, mark: { ...remains.mark, page } };
    },
  ],
  [
    "a row cannot be read",
    ["whole"],
    ({ remains }) => ({ ...remains, damage: ["the row t:000001 cannot be read"] }),
  ],
  [
    "the index lacks a row",
    ["index"],
    ({ remains }) => ({ ...remains, index: remains.index.slice(1) }),
  ],
  [
    "the index has a row too many",
    ["index"],
    ({ remains }) => ({
      ...remains,
      index: [
        ...remains.index,
        { source: remains.index[0]!.source, moment: { at: 9, sequence: 9 } },
      ],
    }),
  ],
  ["the state is missing", ["state", "last"], ({ remains }) => ({ ...remains, states: [] })],
  [
    "the Thing is missing",
    ["index", "things"],
    ({ remains }) => ({ ...remains, things: new Map(), states: [] }),
  ],
  [
    "an unfinished request is missing",
    ["requests"],
    ({ remains }) => ({ ...remains, unfinished: new Map([["o:1", "r:1"]]) }),
  ],
  [
    "a session is gone and a packet id of it is left",
    ["sessions"],
    ({ remains }) => ({
      ...remains,
      mqtt: { ...remains.mqtt, incoming: [{ session: 7, packetId: 1 }] },
    }),
  ],
];

function behind(remains: Remains): Remains {
  return { ...remains, mark: { ...remains.mark, sequence: remains.mark.sequence - 1 } };
}

for (const [what, rules, harm] of DAMAGE) {
  await test(`it is found that ${what}`, (t) => {
    const scene = sceneOf();
    scene.remains = harm(scene);
    t.same(rulesOf(faultsOf(scene)), rules);
    t.end();
  });
}

await test("what exists is not gone, what is gone does not exist", (t) => {
  const scene = sceneOf();
  scene.ledger.things.push({ name: "boiler", state: "gone" });
  scene.ledger.credentials.push(
    { name: "01J", state: "there" },
    { name: "02J", state: "deleting" },
  );
  t.same(
    faultsOf(scene).map(({ detail }) => detail),
    ["boiler should be gone", "01J should be there"],
  );
  t.end();
});

await test("a write of QoS 1 may be applied as often as it was sent, and no more", (t) => {
  const scene = sceneOf(false);
  const last = scene.writes[2]!;
  scene.remains = remainsOf([...scene.remains.changes, levelChange(5, last.value)]);
  t.same(rulesOf(faultsOf(scene)), ["once"]);
  last.timesSent = 2;
  t.same(faultsOf(scene), []);
  t.end();
});

/** How three values came, connection by connection, by their places in the log; and whether rightly. */
const ARRIVALS: readonly (readonly [string, readonly (readonly number[])[], boolean])[] = [
  ["each once", [[0, 1, 2]], true],
  [
    "again after a new connection",
    [
      [0, 1],
      [0, 1, 2],
    ],
    true,
  ],
  ["the rest after a new connection", [[0], [1, 2]], true],
  ["without the first", [[1, 2]], false],
  ["without the last", [[0, 1]], false],
  ["without one between", [[0, 2]], false],
  ["without one between two connections", [[0], [2]], false],
  ["twice on one connection", [[0, 0, 1, 2]], false],
  ["backwards", [[2, 1, 0]], false],
];

for (const [how, connections, isRight] of ARRIVALS) {
  await test(`status that came ${how} is ${isRight ? "right" : "wrong"}`, (t) => {
    const { remains, writes } = sceneOf();
    const deliveries = connections.flatMap((places, connection) =>
      places.map((place): Delivery => {
        const payload = JSON.stringify({ level: writes[place]!.value });
        return { topic: TOPIC, payload, connection };
      }),
    );
    const faults = checkStatus(remains, { clientId: "watcher", deliveries });
    t.same(rulesOf(faults), isRight ? [] : ["delivered"]);
    t.end();
  });
}

await test("a free message of QoS 2 comes once and in order", (t) => {
  const ledger = new Ledger();
  const [first, second] = [ledger.send("free", FREE, true), ledger.send("free", FREE, true)];
  ledger.acknowledge(first);
  const came = (...writes: readonly Write[]): readonly Fault[] => {
    const deliveries = writes.map(({ value }) => {
      return { topic: "line1/a", payload: String(value), connection: 1 };
    });
    return checkMessages(remainsOf([]), ledger, { clientId: "watcher", deliveries });
  };
  t.same(came(first, second), []);
  t.same(came(first), [], "the second was never acknowledged");
  t.match(came(second)[0]?.detail, /did not come/);
  t.match(came(first, first)[0]?.detail, /came twice/);
  t.match(came(second, first)[0]?.detail, /came behind/);
  t.end();
});

await test("the last value may be a later one that was only sent", (t) => {
  const ledger = new Ledger();
  const writes = [1, 2, 3].map(() => ledger.send("device", LEVEL, true));
  ledger.acknowledge(writes[1]!);
  const holds = (value: unknown): string | undefined => ledger.whyNotLast("boiler/level", value);
  t.match(holds(undefined), /is lost/);
  t.match(holds(writes[0]!.value), /is lost/);
  t.equal(holds(writes[1]!.value), undefined);
  t.equal(holds(writes[2]!.value), undefined);
  t.match(holds(42), /never sent/);
  t.end();
});

/** The rows of the table of docs/testing.md with this heading, and what each cell marks as code. */
function documented(heading: string): readonly (readonly (readonly string[])[])[] {
  const lines = readFileSync("docs/testing.md", "utf8").split("\n");
  const rows = lines.slice(lines.indexOf(heading) + 2);
  return rows.slice(0, rows.indexOf("")).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code]) => code ?? "")),
  );
}

await test("docs/testing.md has each rule and each planted fault, and no other", (t) => {
  const rules = documented("| rule | what it says |").flatMap(([names]) => names ?? []);
  t.same([...rules].sort(), [...RULES].sort());
  const faults = documented("| fault | noticed by |").map(([names, noticedBy]) => [
    names?.[0],
    noticedBy,
  ]);
  t.same(
    faults,
    Object.entries(PLANTED_FAULTS).map(([name, { noticedBy }]) => [name, noticedBy]),
  );
  t.end();
});
