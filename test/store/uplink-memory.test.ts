import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { openSite } from "./outbox-site.ts";

await test("an uplink remembers over a restart, in the batch of what it remembers it for", async (t) => {
  const site = await openSite(t);
  const { memory } = site.outbox;
  const before = site.store.commit.written.batches;
  site.makeThing("boiler");
  memory.remember("command-1");
  memory.mapRequest({ at: 7, sequence: 9 }, "/up/actions/go/1");
  memory.setNote("echo", { value: 1 });
  memory.setNote("gone", 1);
  memory.setNote("gone", undefined);
  await site.store.commit.flushed();
  t.equal(site.store.commit.written.batches, before + 1);
  await site.reopen();
  const after = site.outbox.memory;
  t.equal(after.seen("command-1"), true);
  t.equal(after.seen("command-2"), false);
  t.equal(after.upstreamOf(9), "/up/actions/go/1");
  t.same(after.requestOf("/up/actions/go/1"), { at: 7, sequence: 9 });
  t.same(after.note("echo"), { value: 1 });
  t.equal(after.note("gone"), undefined);
  after.forgetRequest(9);
  t.equal(after.requestOf("/up/actions/go/1"), undefined);
  await site.reopen();
  t.equal(site.outbox.memory.upstreamOf(9), undefined);
});

await test("of very many commands the oldest are forgotten, on disk too", async (t) => {
  const site = await openSite(t);
  const { memory } = site.outbox;
  const most = FIXED_LIMITS.uplinkCommandsMax;
  for (let n = 0; n < most + 10; n += 1) memory.remember(`command-${n}`);
  memory.remember("command-10");
  t.equal((await site.opened.rows("q:o0001c")).size, most);
  await site.reopen();
  const seen = (n: number): boolean => site.outbox.memory.seen(`command-${n}`);
  t.same([9, 10, 11, most + 9].map(seen), [false, true, true, true]);
});

await test("a command that comes again is young again", async (t) => {
  const site = await openSite(t);
  const { memory } = site.outbox;
  memory.remember("old");
  for (let n = 0; n < FIXED_LIMITS.uplinkCommandsMax - 1; n += 1) memory.remember(String(n));
  memory.remember("old");
  memory.remember("one more");
  t.equal(memory.seen("old"), true);
  t.equal(memory.seen("0"), false);
});
