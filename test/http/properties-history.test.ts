import { test } from "tap";
import { startGateway, type Gateway } from "./harness.ts";

const DAY = Date.parse("2024-05-01T00:00:00Z");
const at = (seconds: number): string => new Date(DAY + seconds * 1000).toISOString();

/** A gateway whose wall clock stands at `seconds` after the start of the day. */
async function startAt(t: Parameters<typeof startGateway>[0]) {
  const now = { seconds: 0 };
  const clock = { wallMs: () => DAY + now.seconds * 1000 };
  const gateway = await startGateway(t, { clock });
  const properties = { a: { type: "number" }, b: {}, secret: { writeOnly: true } };
  await gateway.call("PUT", "/A/things/x", { json: { properties } });
  const put = async (seconds: number, values: unknown): Promise<void> => {
    now.seconds = seconds;
    const { status } = await gateway.call("PUT", "/A/things/x/properties", { json: values });
    t.equal(status, 200);
  };
  return { ...gateway, put };
}

const HISTORY = "/A/things/x/properties-history";

async function itemsOf(gateway: Gateway, path: string): Promise<unknown> {
  const reply = await gateway.call("GET", path);
  if (reply.status !== 200) return reply.json.code;
  return reply.json.data.map((item) => [(Date.parse(item.at) - DAY) / 1000, item.properties]);
}

await test("history is newest first, by time, with both ends of a range in it", async (t) => {
  const gateway = await startAt(t);
  await gateway.put(10, { a: 1, b: "x" });
  await gateway.put(20, { a: 2, secret: "s" });
  await gateway.put(20, { a: 3 });
  await gateway.put(30, { b: "y" });
  const [one, two, three, four] = [
    [10, { a: 1, b: "x" }],
    [20, { a: 2 }],
    [20, { a: 3 }],
    [30, { b: "y" }],
  ];
  const range = (from: number, to: number): string => `at=${at(from)}|${at(to)}`;
  const rows: readonly (readonly [path: string, items: unknown])[] = [
    ["", [four, three, two, one]],
    [
      "/a",
      [
        [20, { a: 3 }],
        [20, { a: 2 }],
        [10, { a: 1 }],
      ],
    ],
    ["/secret", []],
    ["/none", "unknown-affordance"],
    [`?${range(10, 20)}`, [three, two, one]],
    [`?${range(11, 29)}`, [three, two]],
    [`?${range(20, 20)}`, [three, two]],
    [`?at=${at(20)}%7C${at(40)}`, [four, three, two]],
    [`?at=2024-05-01`, [four, three, two, one]],
    [`?at=2024-05|2025`, [four, three, two, one]],
    [`?at=2023`, []],
    [`?at=1200|1300`, []],
    [`?at=0000|9999`, [four, three, two, one]],
    [`?at=${at(5)}`, []],
    [`?at=${at(10)}`, [one]],
    [`?at=${at(25)}`, [three, [10, { b: "x" }]]],
    [`/b?at=${at(25)}`, [[10, { b: "x" }]]],
    [`?at=${at(99)}`, [four, three]],
    ["?at=9999-12-31T23:59:59Z", [four, three]],
    ["?at=0001-01-01T00:00:00Z", []],
    ["?at=2024-05-01 00:00:20 0000|2024-05-01 00:00:30+0000", [four, three, two]],
    ["?at=2024-05-01T02:00:10 02:00", [one]],
    [`?${range(20, 10)}`, "invalid-parameter"],
    ["?at=yesterday", "invalid-parameter"],
    ["?at=", "invalid-parameter"],
    ["?from=2024", "invalid-parameter"],
  ];
  for (const [path, items] of rows) t.same(await itemsOf(gateway, HISTORY + path), items, path);
});

await test("pages of a history join up in both directions, within a range too", async (t) => {
  const gateway = await startAt(t);
  for (let second = 1; second <= 7; second += 1) await gateway.put(second, { a: second });
  await gateway.put(7, { a: 8 });
  for (const query of ["", `at=${at(2)}|${at(7)}`, `at=${at(7)}`]) {
    const whole = await itemsOf(gateway, `${HISTORY}?${query}`);
    for (const limit of [1, 2, 3, 10]) {
      const seen: unknown[] = [];
      let path = `${HISTORY}?${query}&limit=${limit}`;
      let last = path;
      for (let page = 0; page < 20; page += 1) {
        last = path;
        seen.push(...((await itemsOf(gateway, path)) as unknown[]));
        const { next_cursor: cursor } = (await gateway.call("GET", path)).json.paging;
        if (cursor === "") break;
        path = `${HISTORY}?${query}&limit=${limit}&next_cursor=${cursor}`;
      }
      t.same(seen, whole, `${query} by ${limit}`);
      const back: unknown[] = (await itemsOf(gateway, last)) as unknown[];
      path = last;
      for (let page = 0; page < 20; page += 1) {
        const { previous_cursor: cursor } = (await gateway.call("GET", path)).json.paging;
        if (cursor === "") break;
        path = `${HISTORY}?${query}&limit=${limit}&previous_cursor=${cursor}`;
        back.unshift(...((await itemsOf(gateway, path)) as unknown[]));
      }
      t.same(back, whole, `${query} by ${limit}, backwards`);
    }
  }
  const foreign = `${HISTORY}?next_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV`;
  t.equal(await itemsOf(gateway, foreign), "invalid-parameter");
});

await test("a cursor leads nowhere outside of its range", async (t) => {
  const gateway = await startAt(t);
  for (let second = 1; second <= 4; second += 1) await gateway.put(second, { a: second });
  const first = await gateway.call("GET", `${HISTORY}?limit=1`);
  const cursor = first.json.paging.next_cursor;
  const older = `at=${at(1)}|${at(2)}`;
  t.same(await itemsOf(gateway, `${HISTORY}?${older}&next_cursor=${cursor}`), [
    [2, { a: 2 }],
    [1, { a: 1 }],
  ]);
  const second = await gateway.call("GET", `${HISTORY}?limit=3`);
  const newest = `at=${at(4)}|${at(9)}&previous_cursor=${second.json.paging.next_cursor}`;
  t.same(await itemsOf(gateway, `${HISTORY}?${newest}`), [[4, { a: 4 }]]);
});

await test("back-filling adds to the past and leaves the present alone", async (t) => {
  const gateway = await startAt(t);
  const { call, published } = gateway;
  await gateway.put(100, { a: 5 });
  const before = published.length;
  const one = await call("POST", HISTORY, { json: { at: at(1), properties: { a: 1, b: "x" } } });
  t.equal(one.status, 201);
  t.same(one.json, { at: at(1), properties: { a: 1, b: "x" } });
  const many = await call("POST", `${HISTORY}/a`, {
    json: [
      { at: "2024-05-01 00:00:03+0000", properties: { a: 3 } },
      { at: "2024-05-01T02:00:02+02:00", properties: { a: 2 } },
    ],
  });
  t.equal(many.status, 201);
  t.same((many.json as unknown as readonly unknown[])[0], { at: at(3), properties: { a: 3 } });
  t.same(await itemsOf(gateway, `${HISTORY}/a`), [
    [100, { a: 5 }],
    [3, { a: 3 }],
    [2, { a: 2 }],
    [1, { a: 1 }],
  ]);
  t.same((await call("GET", "/A/things/x/properties")).json, { a: 5 });
  t.equal(published.length, before, "nobody is told of the past");

  const refused: readonly (readonly [
    path: string,
    body: unknown,
    code: string,
    pointer?: string,
  ])[] = [
    ["", { at: at(1), properties: { a: 9 } }, "history-conflict"],
    [
      "",
      [
        { at: at(7), properties: { b: 1 } },
        { at: at(7), properties: { b: 2 } },
      ],
      "history-conflict",
    ],
    ["", { at: "soon", properties: { a: 9 } }, "malformed", "/0/at"],
    ["", { at: 7, properties: { a: 9 } }, "malformed", "/0/at"],
    ["", { at: "1969-12-31T23:59:59Z", properties: { a: 9 } }, "malformed", "/0/at"],
    ["", { at: "9999-01-01T00:00:00Z", properties: { a: 9 } }, "malformed", "/0/at"],
    ["", { at: at(8), properties: {} }, "malformed", "/0/properties"],
    ["", { at: at(8), properties: { a: 1 }, x: 1 }, "unknown-member", "/0/x"],
    ["", [], "malformed"],
    ["", 7, "malformed"],
    ["", { at: at(8), properties: { a: "x" } }, "schema-violation", "/0/properties/a"],
    ["", { at: at(8), properties: { none: 1 } }, "unknown-affordance"],
    ["", { at: at(8), properties: { secret: 1 } }, "unknown-affordance"],
    ["/a", { at: at(8), properties: { a: 1, b: 1 } }, "unknown-member", "/0/properties"],
  ];
  for (const [path, json, code, pointer] of refused) {
    const reply = await call("POST", HISTORY + path, { json });
    t.equal(reply.json.code, code, JSON.stringify(json));
    t.equal(
      reply.status,
      code === "history-conflict" ? 409 : code === "unknown-affordance" ? 404 : 400,
    );
    if (pointer !== undefined)
      t.equal(reply.json.errors[0]?.pointer, pointer, JSON.stringify(json));
  }
  t.same(await itemsOf(gateway, `${HISTORY}/b`), [[1, { b: "x" }]], "nothing of what was refused");
});
