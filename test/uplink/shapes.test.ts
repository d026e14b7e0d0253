import { test } from "tap";
import type { Owed, OwedItem } from "../../src/store/outbox-items.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import type { UpMessage } from "../../src/uplink/message.ts";
import { upMessages } from "../../src/uplink/shapes.ts";
import { AT, BOILER, changeOf, GATEWAY_ID, IDS, owed, shapeDeps, TIME } from "./shape-samples.ts";

const ID = IDS.ofMoment({ at: AT, sequence: 40 });
const REQUEST_ID = IDS.ofMoment({ at: AT - 100, sequence: 39 });
const HREF = `/site/things/boiler/actions/heat/${REQUEST_ID}`;
const THING = "status/site/things/boiler";
const SET = "set/site/things/boiler";

const action = (status: string, more: JsonObject = {}, request = 39): OwedItem =>
  changeOf({ class: "action", name: "heat", request, requestedAt: AT - 100, status, ...more });
const described = { account: "site", id: "boiler", uid: BOILER.uid };
const GAP = { from: 2, to: 4, class: "event", cause: "bounds-rows", since: AT, until: AT } as const;

/** What there is to say, and each message of it: topic, payload, whether it is retained. */
type Row = readonly [
  what: string,
  item: OwedItem,
  expected: readonly Said[] | "undeliverable" | "silent",
];
type Said = readonly [topic: string, content: unknown, retain?: "retained"];

const MIRROR: readonly Row[] = [
  [
    "a value",
    changeOf({ class: "property", values: { t: 21.5 } }),
    [[`${THING}/properties/t`, { t: 21.5 }, "retained"]],
  ],
  [
    "several values of one write",
    changeOf({ class: "property", values: { t: null, mode: { a: [1] } }, writeOnly: ["pin"] }),
    [
      [`${THING}/properties/t`, { t: null }, "retained"],
      [`${THING}/properties/mode`, { mode: { a: [1] } }, "retained"],
    ],
  ],
  [
    "a value that has become writeOnly, or was removed",
    changeOf({ class: "property", values: { pin: "1234", gone: 1, t: 1 } }),
    [[`${THING}/properties/t`, { t: 1 }, "retained"]],
  ],
  ["only such values", changeOf({ class: "property", values: { pin: "1234" } }), "undeliverable"],
  [
    "a value of the past",
    changeOf({ class: "property", values: { t: 1 }, backfilled: true }),
    [[`${THING}/properties/t`, { t: 1 }]],
  ],
  [
    "a request",
    action("pending", { input: { until: 9 } }),
    [
      [
        `${THING}/actions/heat`,
        {
          heat: {
            input: { until: 9 },
            href: HREF,
            timeRequested: "2026-05-01T11:59:59.900Z",
            status: "pending",
          },
        },
      ],
    ],
  ],
  [
    "a request that has finished",
    action("completed", { output: "warm" }),
    [
      [
        `${THING}/actions/heat`,
        {
          heat: {
            href: HREF,
            timeRequested: "2026-05-01T11:59:59.900Z",
            timeCompleted: TIME,
            status: "completed",
            output: "warm",
          },
        },
      ],
    ],
  ],
  ["a status nobody knows", action("exploded"), "undeliverable"],
  [
    "an event",
    changeOf({ class: "event", name: "alarm", data: "hot" }),
    [
      [
        `${THING}/events/alarm`,
        { alarm: { data: "hot", timestamp: TIME, href: `/site/things/boiler/events/alarm/${ID}` } },
      ],
    ],
  ],
  ["raw data", changeOf({ class: "data", content: { a: 1 } }), [["site/data/boiler", { a: 1 }]]],
  [
    "a Thing Description",
    changeOf({ class: "thing", ...described, description: { title: "New" }, removed: ["old"] }),
    [
      [
        THING,
        {
          ...{ id: "boiler", uid: BOILER.uid, title: "New" },
          ...{ created: "2026-05-01T11:59:59.000Z", modified: TIME },
        },
        "retained",
      ],
      [`${THING}/properties/old`, undefined, "retained"],
    ],
  ],
  [
    "a deletion",
    changeOf({ class: "thing", ...described, removed: ["t", "mode"] }, undefined),
    [
      [THING, undefined, "retained"],
      [`${THING}/properties/t`, undefined, "retained"],
      [`${THING}/properties/mode`, undefined, "retained"],
    ],
  ],
  [
    "a value of the snapshot",
    { kind: "state", thing: BOILER, name: "t", state: { value: 3, at: AT, sequence: 9 } },
    [[`${THING}/properties/t`, { t: 3 }, "retained"]],
  ],
  [
    "a description of the snapshot",
    { kind: "description", thing: BOILER },
    [
      [
        THING,
        {
          ...{ id: "boiler", uid: BOILER.uid, ...BOILER.description },
          ...{ created: "2026-05-01T11:59:59.000Z", modified: "2026-05-01T11:59:59.500Z" },
        },
        "retained",
      ],
    ],
  ],
  [
    "a gap",
    { kind: "gap", gap: GAP },
    [[`status/site/gateways/${GATEWAY_ID}/gaps`, { ...GAP, since: TIME, until: TIME }]],
  ],
  [
    "a change of a Thing nobody knows",
    { ...changeOf({ class: "data", content: {} }), thing: undefined } as OwedItem,
    "undeliverable",
  ],
];

const PEER: readonly Row[] = [
  [
    "a value",
    changeOf({ class: "property", values: { t: 21.5 } }),
    [[`${SET}/properties/t`, { t: 21.5 }]],
  ],
  [
    "several values of one write",
    changeOf({ class: "property", values: { t: 1, mode: "a", gone: 2 } }),
    [[`${SET}/properties`, { t: 1, mode: "a" }]],
  ],
  ["hidden values only", changeOf({ class: "property", values: { pin: "1" } }), "undeliverable"],
  [
    "a value of the past",
    changeOf({ class: "property", values: { t: 1 }, backfilled: true }),
    "undeliverable",
  ],
  ["a request of our own", action("pending"), "undeliverable"],
  ["that upstream requested it", action("pending", {}, 900), "silent"],
  [
    "a report on upstream's request",
    action("completed", { input: { until: 1 }, output: "warm" }, 900),
    [
      [
        `${SET}/actions/heat`,
        { heat: { href: "/up/things/boiler/actions/heat/X", status: "completed", output: "warm" } },
      ],
    ],
  ],
  [
    "that upstream's request expired",
    action("expired", {}, 900),
    [
      [
        `${SET}/actions/heat`,
        {
          heat: {
            href: "/up/things/boiler/actions/heat/X",
            status: "failed",
            error: { code: "expired", detail: "no device took it up in time" },
          },
        },
      ],
    ],
  ],
  [
    "an event with data",
    changeOf({ class: "event", name: "alarm", data: "hot" }),
    [[`${SET}/events/alarm`, { alarm: { data: "hot" } }]],
  ],
  [
    "an event without",
    changeOf({ class: "event", name: "alarm" }),
    [[`${SET}/events/alarm`, { alarm: {} }]],
  ],
  ["raw data", changeOf({ class: "data", content: { a: 1 } }), [["site/data/boiler", { a: 1 }]]],
  [
    "a Thing Description",
    changeOf({ class: "thing", ...described, description: { title: "New" } }),
    [[SET, { id: "boiler", title: "New" }]],
  ],
  ["a deletion", changeOf({ class: "thing", ...described }, undefined), "undeliverable"],
  [
    "a value of the snapshot",
    { kind: "state", thing: BOILER, name: "t", state: { value: 3, at: AT, sequence: 9 } },
    [[`${SET}/properties/t`, { t: 3 }]],
  ],
  [
    "a description of the snapshot",
    { kind: "description", thing: BOILER },
    [[SET, { id: "boiler", ...BOILER.description }]],
  ],
  ["a gap", { kind: "gap", gap: GAP }, "silent"],
];

const TABLES = { mirror: MIRROR, peer: PEER } as const;

for (const [shape, rows] of Object.entries(TABLES)) {
  await test(`${shape} says each thing on its topic, in its form`, (t) => {
    for (const [what, item, expected] of rows) {
      t.same(saidOf({ shape }, owed(item)), expected, what);
    }
    t.end();
  });

  await test(`${shape} puts the prefix and upstream's name of the account in each topic`, (t) => {
    const given = { shape, prefix: "hall/7/", accounts: { site: "plant" } };
    for (const [what, item, expected] of rows) {
      const said = saidOf(given, owed(item));
      if (typeof expected === "string") {
        t.equal(said, expected, what);
        continue;
      }
      const topics = expected.map(([topic]) => `hall/7/${topic.replace("site", "plant")}`);
      t.same(typeof said === "string" ? said : said.map(([topic]) => topic), topics, what);
      t.notMatch(JSON.stringify(said), /\/site\//, `${what}: the account has one name there`);
    }
    t.end();
  });
}

function messagesOf(given: JsonObject, item: Owed): readonly UpMessage[] {
  const outcome = upMessages(shapeDeps(given), item);
  return outcome.kind === "messages" ? outcome.messages : [];
}

/** As the tables have it. */
function saidOf(given: JsonObject, item: Owed): readonly Said[] | "undeliverable" | "silent" {
  const outcome = upMessages(shapeDeps(given), item);
  if (outcome.kind !== "messages") return outcome.kind;
  return outcome.messages.map(({ topic, payload, retain }) => {
    const content: unknown = payload.length === 0 ? undefined : JSON.parse(payload.toString());
    return retain ? [topic, content, "retained"] : [topic, content];
  });
}

await test("two accounts of the same name upstream are never mixed", (t) => {
  const item = changeOf({ class: "property", values: { t: 1 } });
  const given = { accounts: { other: "site" } };
  t.equal(saidOf(given, owed(item)), "undeliverable", "site is what other is called there");
  t.end();
});

await test("of a backlog beside a live stream only what still is so is retained", (t) => {
  const value = changeOf({ class: "property", values: { t: 1 } });
  const deletion = changeOf({ class: "thing", ...described, removed: ["t"] }, undefined);
  const rows: readonly (readonly [string, boolean, boolean, boolean])[] = [
    ["strict", true, false, true],
    ["live-first", false, false, true],
    ["live-first", true, true, true],
    ["live-first", true, false, false],
  ];
  for (const [order, isBacklog, isPresent, isRetained] of rows) {
    const name = `${order}, backlog ${isBacklog}, present ${isPresent}`;
    const said = saidOf({ order }, owed(value, { isBacklog, isNew: !isBacklog, isPresent }));
    t.equal(said[0]?.[2], isRetained ? "retained" : undefined, name);
    const deleted = saidOf({ order }, owed(deletion, { isBacklog, isNew: !isBacklog, isPresent }));
    t.equal(deleted.length, isRetained ? 2 : 1, `${name}: what is there now stays`);
    t.equal(deleted[0]?.[2], isRetained ? "retained" : undefined, name);
  }
  t.end();
});

await test("each message says its id, number and time, and whether it is backlog", (t) => {
  const item = changeOf({ class: "property", values: { t: 1, mode: 2 } });
  const messages = messagesOf({}, owed(item, { isBacklog: true }));
  const marks = messages.map(({ properties }) => properties?.userProperties);
  t.same(marks, [
    { id: ID, seq: "5", time: TIME, backlog: "true" },
    { id: `${ID}-2`, seq: "5", time: TIME, backlog: "true" },
  ]);
  t.same(messages[0]?.properties?.contentType, "application/json");
  t.equal(messages[0]?.properties?.isText, true);
  t.end();
});

await test("an envelope is a CloudEvent around the same payload", (t) => {
  for (const protocol of [4, 5]) {
    const given = { envelope: "cloudevents", protocol, prefix: "p/" };
    const value = changeOf({ class: "property", values: { t: 1 } });
    const [message] = messagesOf(given, owed(value));
    t.same(JSON.parse(message?.payload.toString() ?? ""), {
      specversion: "1.0",
      id: ID,
      source: `urn:sluice:${GATEWAY_ID}`,
      type: "sluice.property",
      subject: "p/status/site/things/boiler/properties/t",
      time: TIME,
      sequence: "0000000000000005",
      backlog: false,
      datacontenttype: "application/json",
      data: { t: 1 },
    });
    t.equal(message?.properties?.contentType, "application/cloudevents+json; charset=utf-8");
  }
  t.end();
});

await test("a deletion in an envelope is said, and then done", (t) => {
  const item = changeOf({ class: "thing", ...described, removed: ["t"] }, undefined);
  const said = saidOf({ envelope: "cloudevents" }, owed(item));
  t.match(said, [
    [THING, { type: "sluice.deletion", data: null, sequence: "0000000000000005" }],
    [THING, undefined, "retained"],
    [`${THING}/properties/t`, undefined, "retained"],
  ]);
  t.equal(said.length, 3);
  t.equal(said[0]?.[2], undefined, "what is said is not retained");
  t.end();
});

await test("a value of the past needs a mark", (t) => {
  const item = changeOf({ class: "property", values: { t: 1 }, backfilled: true });
  t.equal(saidOf({ protocol: 4 }, owed(item)), "undeliverable");
  t.equal(saidOf({ protocol: 4, envelope: "cloudevents" }, owed(item)).length, 1);
  t.end();
});
