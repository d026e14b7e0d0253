import { test } from "tap";
import { startGateway } from "./harness.ts";

const DAY = Date.parse("2024-05-01T00:00:00Z");

await test("raw data is stored, echoed and listed newest first, by Thing, source and time", async (t) => {
  let seconds = 0;
  const { call, published } = await startGateway(t, {
    clock: { wallMs: () => DAY + seconds * 1000 },
  });
  const uids: string[] = [];
  for (const id of ["x", "y", "z"]) {
    uids.push((await call("PUT", `/A/things/${id}`, { json: {} })).json.uid);
  }
  const posted = await call("POST", "/A/data/x", { json: { n: 0, nested: { a: [1] } } });
  t.equal(posted.status, 201);
  t.same(Object.keys(posted.json), ["at", "id", "source"]);
  t.equal(posted.json.source, "x");
  t.equal(posted.headers.get("location"), `/A/data/x/${posted.json.id}`);
  t.match(published.at(-1), { topic: "A/data/x", payload: '{"n":0,"nested":{"a":[1]}}' });
  for (seconds = 1; seconds <= 4; seconds += 1) {
    const id = seconds % 2 === 0 ? "x" : "y";
    await call("POST", `/A/data/${id}`, { json: { n: seconds } });
  }
  const read = await call("GET", `/A/data/x/${posted.json.id}`);
  t.same(read.json, {
    at: "2024-05-01T00:00:00.000Z",
    id: posted.json.id,
    content: { n: 0, nested: { a: [1] } },
    "content-type": "application/json",
    source: "x",
    source_id: uids[0],
  });
  const at = (second: number): string => new Date(DAY + second * 1000).toISOString();
  const listed = async (path: string) => {
    const { status, json } = await call("GET", path);
    if (status !== 200) return json.code;
    return json.data.map(({ content }) => content.n).join(" ");
  };
  const rows: readonly (readonly [path: string, expected: string])[] = [
    ["/A/data/x", "4 2 0"],
    ["/A/data/z", ""],
    [`/A/data/${uids[0] ?? ""}`, "4 2 0"],
    ["/A/data", "4 3 2 1 0"],
    ["/A/data?source[]=x", "4 2 0"],
    ["/A/data?source%5B%5D=x&source[]=y", "4 3 2 1 0"],
    ["/A/data?source[]=y&source[]=y", "3 1"],
    ["/A/data?source[]=z", ""],
    [`/A/data/x?at=${at(1)}|${at(4)}`, "4 2"],
    [`/A/data/x?at=${at(3)}`, "2"],
    [`/A/data?at=${at(3)}`, "3 2"],
    [`/A/data?at=${at(3)}&limit=1`, "3"],
    ["/A/data?limit=2", "4 3"],
    ["/A/data?source[]=none", "unknown-thing"],
    ["/A/data?source=x", "invalid-parameter"],
    ["/A/data/x?source[]=x", "invalid-parameter"],
    ["/A/data/none", "unknown-thing"],
    ["/A/data/x/7", "not-found"],
    [`/A/data/y/${posted.json.id}`, "not-found"],
  ];
  for (const [path, expected] of rows) t.equal(await listed(path), expected, path);
  const first = (await call("GET", "/A/data?limit=2")).json.paging.next_cursor;
  t.equal(await listed(`/A/data?limit=2&next_cursor=${first}`), "2 1");
});

await test("what is no object, or too large, is no datum", async (t) => {
  const { call } = await startGateway(t, { limits: { value_bytes: 64 } });
  await call("PUT", "/A/things/x", { json: {} });
  for (const json of [[], 7, "x", null]) {
    t.equal((await call("POST", "/A/data/x", { json })).json.code, "malformed");
  }
  const large = await call("POST", "/A/data/x", { json: { text: "x".repeat(64) } });
  t.equal(large.status, 413);
  t.equal(large.json.code, "too-large");
  t.equal((await call("POST", "/A/data/none", { json: {} })).status, 404);
});

await test("data of very many Things is only given by name", async (t) => {
  const { call } = await startGateway(t);
  for (let n = 0; n <= 100; n += 1) await call("PUT", `/A/things/t${n}`, { json: {} });
  t.equal((await call("GET", "/A/data")).json.code, "invalid-parameter");
  const sources = Array.from({ length: 101 }, (_, n) => `source[]=t${n}`);
  t.equal((await call("GET", `/A/data?${sources.join("&")}`)).json.code, "invalid-parameter");
  t.equal((await call("GET", `/A/data?${sources.slice(1).join("&")}`)).status, 200);
});
