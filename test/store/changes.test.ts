import fc from "fast-check";
import { test } from "tap";
import { openChange } from "../../src/store/changes.ts";
import { CHANGE_CLASSES, changeKey } from "../../src/store/keys.ts";
import { isKeepable } from "../../src/thing/data-schema.ts";
import { openTemporaryStore } from "./open-store.ts";

const json = fc.jsonValue({ maxDepth: 3 }).filter((v) => isKeepable(v, 9));
const object = fc.dictionary(fc.string({ unit: "grapheme", maxLength: 6 }), json, {
  maxKeys: 4,
  noNullPrototype: true,
});
const stamp = { thing: fc.integer({ min: 1, max: 9 }), at: fc.nat() };
const name = fc.string({ minLength: 1, maxLength: 6 });

const change = fc.oneof(
  fc.record(
    {
      ...stamp,
      class: fc.constant("property" as const),
      values: object,
      writeOnly: fc.array(name, { maxLength: 2 }),
      backfilled: fc.constant(true as const),
    },
    { requiredKeys: ["thing", "at", "class", "values"] },
  ),
  fc.record(
    {
      ...stamp,
      class: fc.constant("action" as const),
      name,
      request: fc.nat(),
      requestedAt: fc.nat(),
      status: fc.constantFrom("pending", "completed"),
      input: json,
      output: json,
      error: json,
    },
    { requiredKeys: ["thing", "at", "class", "name", "request", "requestedAt", "status"] },
  ),
  fc.record(
    { ...stamp, class: fc.constant("event" as const), name, data: json },
    { requiredKeys: ["thing", "at", "class", "name"] },
  ),
  fc.record({ ...stamp, class: fc.constant("data" as const), content: object }),
  fc.record(
    {
      ...stamp,
      class: fc.constant("thing" as const),
      account: name,
      id: name,
      uid: name,
      description: object,
    },
    { requiredKeys: ["thing", "at", "class", "account", "id", "uid"] },
  ),
);

await test("every change is read back as it was, under sequences without a hole", async (t) => {
  const opened = await openTemporaryStore(t);
  let expected = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const { store } = opened;
      const written = changes.map((change) => [store.changes.append(change), change] as const);
      await store.commit.flushed();
      for (const [sequence, change] of written) {
        t.equal(sequence, (expected += 1));
        const row = store.database.getSync(changeKey(change.class, sequence));
        t.strictSame(openChange(change.class, sequence, row ?? ""), { ...change, sequence });
      }
    }),
    { seed: 41, numRuns: 60 },
  );
  const counted = CHANGE_CLASSES.map((of) => opened.store.changes.rowsOf(of));
  await opened.reopen();
  const { changes } = opened.store;
  t.equal(changes.sequence, expected);
  t.equal(changes.nextSequence, expected + 1);
  t.same(
    CHANGE_CLASSES.map((of) => changes.rowsOf(of)),
    counted,
  );
  t.equal(
    counted.reduce((sum, rows) => sum + rows, 0),
    (await opened.rows("c:")).size,
  );
});

await test("the mark of the log goes with the batch, so that a crash can make no hole", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  const at = { thing: 1, at: 5 };
  store.changes.append({ class: "data", ...at, content: {} });
  const sequence = store.changes.append({ class: "event", ...at, name: "e" });
  store.changes.drop("data", 1);
  await store.commit.flushed();
  const { batches } = store.commit.written;
  const mark = JSON.parse(store.database.getSync("m:log") ?? "") as unknown;
  const rows = { property: 0, action: 0, event: 1, data: 0, thing: 0 };
  t.same(mark, { sequence, rows, page: rows });
  await store.commit.flushed();
  t.equal(store.commit.written.batches, batches);
  store.commit.put("z:other", "");
  const before = store.commit.written.rows;
  await store.commit.flushed();
  t.equal(store.commit.written.rows, before + 1, "no mark when the log has not changed");
});

await test("a row says in which boot it was written, and that the time could not be believed", async (t) => {
  const opened = await openTemporaryStore(t);
  await opened.reopen();
  opened.clock.synced = false;
  const sequence = opened.store.changes.append({ class: "event", thing: 1, at: 0, name: "e" });
  await opened.store.commit.flushed();
  const row = opened.store.database.getSync(changeKey("event", sequence)) ?? "";
  t.same(JSON.parse(row), { thing: 1, at: 0, name: "e", boot: 2, unsynced: true });
});
