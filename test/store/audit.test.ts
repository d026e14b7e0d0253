import { test, type Test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { AuditBounds, AuditEntry, AuditRecord } from "../../src/store/audit.ts";
import { auditKey, tokenKey } from "../../src/store/keys.ts";
import { AMPLE, openTemporaryStore, type Opened } from "./open-store.ts";

const DAY_MS = 86_400_000;

const DELETION: AuditRecord = {
  principal: "token 01J00000000000000000000000",
  address: "192.0.2.1",
  channel: "http",
  action: "thing.delete",
  target: "/site/things/boiler",
  requestId: "r-1",
  result: "ok",
};

const WRONG: AuditRecord = {
  principal: "nobody",
  address: "192.0.2.9",
  channel: "mqtt",
  action: "access.login",
  target: "pump",
  result: "wrong-password",
};

async function open(t: Test, audit?: AuditBounds): Promise<Opened> {
  return openTemporaryStore(t, AMPLE, audit === undefined ? {} : { audit });
}

/** Newest first. */
async function entries(opened: Opened): Promise<readonly AuditEntry[]> {
  await opened.store.commit.flushed();
  const { items } = await opened.store.audit.read({ limit: 1_000_000, matches: () => true });
  return items;
}

await test("records are numbered from 1 and read back, also after a restart", async (t) => {
  const opened = await open(t);
  opened.store.audit.record(DELETION);
  opened.clock.advance(5);
  opened.store.audit.record({ ...WRONG, detail: "that was all" });
  const before = await entries(opened);
  t.same(
    before.map(({ number }) => number),
    [2, 1],
  );
  t.same(before[1], { ...DELETION, at: opened.clock.wall - 5, number: 1 });
  await opened.reopen();
  t.same(await entries(opened), before);
  opened.store.audit.record(DELETION);
  t.equal((await entries(opened))[0]?.number, 3, "no number is given twice");
});

await test("a record is in the batch of the change it is about", async (t) => {
  const opened = await open(t);
  const { database, commit, audit } = opened.store;
  await commit.flushed();
  const batches: string[][] = [];
  const makeBatch = database.batch.bind(database);
  database.batch = () => {
    const batch = makeBatch();
    const keys: string[] = [];
    batches.push(keys);
    return {
      ...batch,
      put: (key, value) => {
        keys.push(key);
        batch.put(key, value);
      },
    };
  };
  commit.put(tokenKey("01J"), "{}");
  await Promise.resolve();
  audit.record(DELETION);
  await commit.flushed();
  const [batch] = batches.filter((keys) => keys.includes(tokenKey("01J")));
  t.ok(batch?.includes(auditKey(1)), "though promises were resolved in between");
});

await test("what strangers repeat is one record at once, and one a minute with a count", async (t) => {
  const opened = await open(t);
  const { audit } = opened.store;
  for (let n = 0; n < 500; n += 1) audit.recordRepeatable({ ...WRONG, target: `user-${n}` });
  audit.recordRepeatable({ ...WRONG, address: "192.0.2.10" });
  t.same(
    (await entries(opened)).map(({ address, target, count }) => [address, target, count]),
    [
      ["192.0.2.10", "pump", undefined],
      ["192.0.2.9", "user-0", undefined],
    ],
  );
  opened.clock.advance(60_000);
  t.same(
    (await entries(opened)).map(({ target, count }) => [target, count]).slice(0, 1),
    [["user-499", 499]],
    "those after the first; an address that came once has no second row",
  );
  audit.recordRepeatable(WRONG);
  audit.recordRepeatable(WRONG);
  audit.recordRepeatable(WRONG);
  await opened.reopen();
  t.equal((await entries(opened))[0]?.count, 2, "a stop writes what was only counted");
});

await test("kinds without number are counted together, so that a flood writes little", async (t) => {
  const opened = await open(t);
  const { audit } = opened.store;
  for (let n = 0; n < 5_000; n += 1) {
    audit.recordRepeatable({ ...WRONG, address: `10.0.${n >> 8}.${n & 255}` });
  }
  opened.clock.advance(60_000);
  const found = await entries(opened);
  t.equal(found.length, FIXED_LIMITS.auditRepeatsMax + 2);
  const flood = found.filter(({ action }) => action === "audit.flood");
  const counted = flood.reduce((sum, { count = 1 }) => sum + count, 0);
  t.equal(counted, 5_000 - FIXED_LIMITS.auditRepeatsMax);
  t.ok(flood.every(({ address, principal }) => address === undefined && principal === "several"));
});

await test("strangers write a few rows a minute in the long run, and take nothing from whoever has a name", async (t) => {
  const opened = await open(t);
  const { audit } = opened.store;
  const minutes = 20;
  for (let minute = 0; minute < minutes; minute += 1) {
    for (let n = 0; n < 300; n += 1) {
      const address = `10.${minute}.${n >> 8}.${n & 255}`;
      for (const target of ["pump", "valve"]) audit.recordRepeatable({ ...WRONG, address, target });
    }
    opened.clock.advance(60_000);
  }
  const found = await entries(opened);
  const most = 2 * (FIXED_LIMITS.auditRepeatsMax + minutes * 2);
  t.ok(found.length <= most, `${found.length} rows of 12,000`);
  const counted = found.reduce((sum, { count = 1 }) => sum + count, 0);
  t.equal(counted, minutes * 300 * 2, "all of them are counted");
  const refused = { ...DELETION, result: "forbidden" };
  audit.recordRepeatable(refused);
  t.match((await entries(opened))[0], refused, "of a token, which has its own");
});

await test("what was done is counted, and never taken for a flood", async (t) => {
  const opened = await open(t);
  const { audit } = opened.store;
  const most = FIXED_LIMITS.auditRepeatsMax;
  for (let n = 0; n < 2 * most; n += 1) {
    const done = { ...DELETION, principal: `user ${n}` };
    for (const of of ["a", "b", "b"]) audit.recordRepeatable(done, of);
  }
  opened.clock.advance(60_000);
  const found = await entries(opened);
  t.equal(found.length, 2 * most * 3, "two at once, and one with a count");
  t.ok(found.every(({ action }) => action === DELETION.action));
});

await test("beyond its rows the oldest go, and a row says how many", async (t) => {
  const opened = await open(t, { rows: 200, days: 0 });
  const { audit } = opened.store;
  for (let n = 0; n < 200; n += 1) audit.record(DELETION);
  await audit.sweep();
  t.equal((await entries(opened)).length, 200, "at the bound nothing goes");
  audit.record(DELETION);
  await audit.sweep();
  const found = await entries(opened);
  t.equal(found.length, 191, "95 %, and the row that says so");
  t.match(found[0], {
    principal: "gateway",
    action: "audit.sweep",
    target: "1 to 11",
    detail: /^11 rows/,
  });
  t.equal(found.at(-1)?.number, 12);
  await opened.reopen();
  t.equal((await entries(opened)).length, 191);
  t.equal((await opened.rows("j:")).size, 191, "they are gone from the disk");
});

await test("a bound that was lowered is reached in several batches", async (t) => {
  const small = await open(t, { rows: 100, days: 0 });
  const many = FIXED_LIMITS.auditSweptRowsMax * 2;
  for (let n = 0; n < many; n += 1) {
    small.store.audit.record({ ...DELETION, principal: `user ${n % 10}` });
  }
  await small.store.audit.sweep();
  const found = await entries(small);
  t.ok(found.length <= 100, `${found.length} are left`);
  t.equal(found.filter(({ action }) => action === "audit.sweep").length, 2);
});

await test("what is older than its days of running time goes", async (t) => {
  const opened = await open(t, { rows: 100_000, days: 10 });
  opened.store.audit.record(DELETION);
  opened.clock.wall += 400 * DAY_MS;
  opened.store.audit.record(DELETION);
  await opened.store.audit.sweep();
  t.equal((await entries(opened)).length, 2, "a step of the wall clock expires nothing");
  opened.clock.advance(5 * DAY_MS);
  opened.store.audit.record({ ...DELETION, target: "younger" });
  opened.clock.advance(6 * DAY_MS + 1_000);
  await opened.store.audit.sweep();
  t.same(
    (await entries(opened)).map(({ target }) => target),
    ["1 to 2", "younger"],
  );
});

await test("a page begins behind a number, in either direction, and holds what matches", async (t) => {
  const opened = await open(t);
  const { audit, commit } = opened.store;
  for (let n = 1; n <= 10; n += 1) audit.record({ ...DELETION, target: String(n) });
  await commit.flushed();
  const matches = ({ number }: AuditEntry): boolean => number % 2 === 0;
  const numbers = async (slice: Partial<Parameters<typeof audit.read>[0]>) => {
    const { items, more } = await audit.read({ limit: 3, matches, ...slice });
    return [items.map(({ number }) => number), more];
  };
  t.same(await numbers({}), [[10, 8, 6], true]);
  t.same(await numbers({ before: 6 }), [[4, 2], false]);
  t.same(await numbers({ after: 2, oldestFirst: true }), [[4, 6, 8], true]);
  t.same(await numbers({ after: 9, limit: 1 }), [[10], false], "nothing that matches is behind it");
  t.same(await numbers({ before: 1 }), [[], false]);
});

await test("a torn row is set aside, and the others are read", async (t) => {
  const opened = await open(t);
  const { audit, commit, database } = opened.store;
  for (let n = 1; n <= 3; n += 1) audit.record(DELETION);
  await commit.flushed();
  await database.put(auditKey(2), '{"principal":"half a ro');
  t.same(
    (await entries(opened)).map(({ number }) => number),
    [3, 1],
  );
  t.equal(database.damage.counts.rows, 1);
});

await test("while the store takes nothing, refusals are counted only", async (t) => {
  const opened = await open(t);
  const { audit, writability } = opened.store;
  writability.setStall(new GatewayError("storage-full", "full"));
  for (let n = 0; n < 3; n += 1) audit.record({ ...WRONG, result: "forbidden" });
  writability.setStall(undefined);
  audit.record(DELETION);
  t.same(
    (await entries(opened)).map(({ action, count }) => [action, count]),
    [
      ["thing.delete", undefined],
      ["audit.miss", 3],
    ],
  );
});

await test("no bearer token and no long text gets into a record", async (t) => {
  const opened = await open(t);
  const token = `slu_${"a".repeat(32)}`;
  const target = `/gateway/tokens/${token}`;
  opened.store.audit.record({ ...DELETION, target, detail: "d".repeat(10_000) });
  const [entry] = await entries(opened);
  t.equal(entry?.target, "/gateway/tokens/slu_…");
  t.equal(entry?.detail?.length, FIXED_LIMITS.auditTextLengthMax);
});

await test("who makes and deletes without end fills his share, and the rest is counted", async (t) => {
  const rows = 20_000;
  const opened = await open(t, { rows, days: 0 });
  const { audit } = opened.store;
  const share = rows / FIXED_LIMITS.auditShareParts;
  const act = (n: number, principal: string): void => {
    const action = n % 2 === 0 ? "thing.create" : "thing.delete";
    audit.record({ ...DELETION, principal, action, target: `/site/things/${n}` });
  };
  act(1, "user anna");
  const done = 10 * share;
  for (let n = 0; n < done; n += 1) act(n, "user bert");
  opened.clock.advance(60_000);
  const found = await entries(opened);
  const ofBert = found.filter(({ principal }) => principal === "user bert");
  t.ok(ofBert.length <= share + 4, `${ofBert.length} rows`);
  const counted = ofBert.reduce((sum, { count = 1 }) => sum + count, 0);
  t.equal(counted, done, "none is left out");
  t.ok(ofBert.every(({ action }) => /^thing[.](create|delete)$/.test(action)));
  act(2, "user anna");
  t.match((await entries(opened))[0], { principal: "user anna", target: "/site/things/2" });
  opened.clock.advance(DAY_MS / 2);
  for (let n = 0; n < done; n += 1) act(n, "user bert");
  const later = (await entries(opened)).length - found.length - 1;
  t.ok(later > share / 2 - 10 && later < share / 2 + 10, `half a day, half a share: ${later}`);
});
