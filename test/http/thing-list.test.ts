import { test } from "tap";
import { startGateway, type Gateway, type Reply } from "./harness.ts";

const THINGS = [
  { id: "c", title: "Pump", "@type": "Actuator", temp: 20, note: "left hall" },
  { id: "a", title: "Fan", "@type": ["Actuator", "Fan"], temp: 25.5, note: "right hall" },
  { id: "b", title: "Pump", temp: -3, note: "roof" },
  { id: "d" },
] as const;

async function withThings(gateway: Gateway): Promise<void> {
  const { call } = gateway;
  for (const { id, ...given } of THINGS) {
    const { temp, note, ...description } = { temp: undefined, note: undefined, ...given };
    const properties = { temp: { type: "number" }, note: {}, on: {}, tags: {}, "a:b": {} };
    await call("PUT", `/A/things/${id}`, { json: { ...description, properties } });
    if (temp === undefined) continue;
    const values = { temp, note, on: temp > 0, tags: [id, "x"], "a:b": id };
    await call("PUT", `/A/things/${id}/properties`, { json: values });
  }
}

const idsOf = ({ json }: Reply): readonly string[] => json.data.map(({ id }) => id);

const LISTED: readonly (readonly [query: string, ids: string])[] = [
  ["", "c a b d"],
  ["title=Pump", "c b"],
  ["title=pump", ""],
  ["@type=Actuator", "c a"],
  ["%40type=Fan", "a"],
  ["title=Pump&@type=Actuator", "c"],
  ["property:temp=20", "c"],
  ["property:temp=20.0", "c"],
  ["property:temp=eq:20", "c"],
  ["property:temp=neq:20", "a b"],
  ["property:temp=gt:20", "a"],
  ["property:temp=gte:20", "c a"],
  ["property:temp=lt:20", "b"],
  ["property:temp=lte:-3", "b"],
  ["property:temp=gt:warm", ""],
  ["property:temp=gt:", ""],
  ["property%3Atemp=gt%3A-10&property%3Anote=contains%3Ahall", "c a"],
  ["property:temp=gt:-10&property:temp=lt:21", "c b"],
  ["property:note=contains:oo", "b"],
  ["property:note=left+hall", "c"],
  ["property:note=left%20hall", "c"],
  ["property:note=gt:m", "a b"],
  ["property:on=true", "c a"],
  ["property:on=neq:true", "b"],
  ["property:tags=contains:a", "a"],
  ["property:a:b=c", "c"],
  ["property:missing=1", ""],
  ["sort=uid", "c a b d"],
  ["sort=-uid", "d b a c"],
  ["sort=id", "a b c d"],
  ["sort=%2Bid", "a b c d"],
  ["sort=+id", "a b c d"],
  ["sort=-id", "d c b a"],
  ["sort=+title,-id", "d a c b"],
  ["sort=-title", "c b a d"],
  ["sort=created", "c a b d"],
  ["sort=-modified,id", "d b a c"],
];

await test("the list of Things is filtered and sorted as asked", async (t) => {
  let wall = 1_700_000_000_000;
  const gateway = await startGateway(t, { clock: { wallMs: () => (wall += 1) } });
  await withThings(gateway);
  for (const [query, ids] of LISTED) {
    const reply = await gateway.call("GET", `/A/things?${query}`);
    t.equal(reply.status, 200, query);
    t.equal(idsOf(reply).join(" "), ids, query);
  }
  const { json } = await gateway.call("GET", "/A/things?title=Fan");
  t.same(json.data[0], (await gateway.call("GET", "/A/things/a")).json, "items are whole");
  t.same((await gateway.call("GET", "/B/things")).json, {
    data: [],
    paging: { next_cursor: "", previous_cursor: "" },
  });
});

const REFUSED = [
  "limit=0",
  "limit=1001",
  "limit=-1",
  "limit=1.5",
  "limit=ten",
  "limit=",
  "limit=1&limit=2",
  "sort=colour",
  "sort=constructor",
  "sort=",
  "unknown=1",
  "Title=x",
  "next_cursor=x",
  "previous_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "next_cursor=a&previous_cursor=b",
  "title=%FF",
  "title=%",
];

await test("a query that is not known is refused, not ignored", async (t) => {
  const gateway = await startGateway(t);
  for (const query of REFUSED) {
    const { status, json } = await gateway.call("GET", `/A/things?${query}`);
    t.equal(status, 400, query);
    t.equal(json.code, "invalid-parameter", query);
  }
});

await test("pages join up in both directions, whatever the order", async (t) => {
  const gateway = await startGateway(t);
  await withThings(gateway);
  for (const sort of ["uid", "-uid", "title", "-title,id"]) {
    const whole = idsOf(await gateway.call("GET", `/A/things?sort=${sort}`));
    for (const limit of [1, 2, 3, 4]) {
      const forward: (readonly string[])[] = [];
      let path = `/A/things?sort=${sort}&limit=${limit}`;
      let last = await gateway.call("GET", path);
      for (;;) {
        forward.push(idsOf(last));
        const [, next] = /<([^>]+)>; rel="next"/.exec(last.headers.get("link") ?? "") ?? [];
        t.equal(next !== undefined, last.json.paging.next_cursor !== "", "a link for each cursor");
        if (next === undefined) break;
        path = next;
        last = await gateway.call("GET", path);
      }
      t.same(forward.flat(), whole, `${sort} by ${limit}`);
      const backward: (readonly string[])[] = [idsOf(last)];
      for (;;) {
        const [, previous] = /<([^>]+)>; rel="prev"/.exec(last.headers.get("link") ?? "") ?? [];
        if (previous === undefined) break;
        last = await gateway.call("GET", previous);
        backward.unshift(idsOf(last));
      }
      t.same(backward.flat(), whole, `${sort} by ${limit}, backwards`);
    }
  }
});
