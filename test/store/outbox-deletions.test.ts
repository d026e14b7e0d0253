import { test } from "tap";
import type { Owed } from "../../src/store/outbox-items.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { drain, openSite, told, type Site } from "./outbox-site.ts";

/** Takes a property off a Thing, with its value and its history. */
function deleteProperty({ store }: Site, thing: Thing, name: string): void {
  const properties = new Map([...thing.properties].filter(([own]) => own !== name));
  store.things.put({ ...thing, properties });
  store.properties.delete(thing.number, name);
  store.retention.forget(thing.number, { thing: thing.number, of: "property", name });
}

const kinds = (owed: readonly Owed[]): readonly string[] =>
  owed.map((one) => told(one).replace(/^\d+ /, ""));

await test("a Thing that is deleted takes what has a number with it, before it is swept", async (t) => {
  const site = await openSite(t);
  const thing = site.makeThing("boiler");
  site.setValues(thing.number, { p: 1 });
  site.emit(thing.number);
  site.addDatum(thing.number);
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 10)).length, 4);
  site.deleteThing(thing);
  await site.reopen();
  t.same(kinds(await drain(site)), [
    ...["thing 1", "gap 2-2 property deleted", "gap 3-3 event deleted", "gap 4-4 data deleted"],
    "thing 5",
  ]);
});

await test("what waits and is deleted is not handed out to the next line", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  const [first, second] = [site.emit(number), site.emit(number)];
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 1)).length, 1, "all three have numbers");
  site.store.outboxes.rowGoes("event", first);
  site.store.changes.drop("event", first);
  site.outbox.rewind();
  t.same(kinds(await drain(site)), ["thing 1", "gap 2-2 event deleted", `event ${second}`]);
  t.match(site.outbox.state.drops, [{ cause: "deleted", class: "event", count: 1 }]);
});

for (const isNumbered of [true, false]) {
  const what = isNumbered ? "with a number" : "without a number";
  await test(`a value ${what} does not come back with a property of its old name`, async (t) => {
    const site = await openSite(t);
    const thing = site.makeThing("boiler");
    site.setValues(thing.number, { p: 1, q: 1 });
    site.setValues(thing.number, { p: 2 });
    await site.store.commit.flushed();
    if (isNumbered) t.equal((await site.outbox.take("strict", 10)).length, 3);
    deleteProperty(site, thing, "p");
    await site.store.retention.sweep();
    await site.reopen();
    site.store.things.put(thing);
    await site.reopen();
    const later = site.setValues(thing.number, { p: 3 });
    const owed = await drain(site);
    t.same(kinds(owed), ["thing 1", "property 2", "gap 3-3 property deleted", `property ${later}`]);
    t.same(
      owed.flatMap(({ item }) =>
        item.kind === "change" && item.change.class === "property" ? [item.change.values] : [],
      ),
      [{ q: 1 }, { p: 3 }],
    );
    t.equal((await site.opened.rows("x:")).size, 1, "it is remembered while it is owed");
    site.opened.clock.advance(10_000);
    await site.store.retention.sweep();
    t.equal((await site.opened.rows("x:")).size, 0, "and then forgotten");
  });
}

/** Everything that is owed, left as it is. */
async function ids(site: Site): Promise<readonly string[]> {
  await site.store.commit.flushed();
  site.outbox.rewind();
  const all: Owed[] = [];
  for (;;) {
    const some = await site.outbox.take("strict", 100);
    if (some.length === 0) return all.map((owed) => `${told(owed)} ${owed.id}`);
    all.push(...some);
  }
}

const GIVEN_UP: Readonly<Record<string, (site: Site, event: number) => void>> = {
  "too-large": ({ outbox }, event) => outbox.giveUp(event, "too-large"),
  deleted: ({ outbox, store }, event) => {
    outbox.rewind();
    store.outboxes.rowGoes("event", event);
    store.changes.drop("event", event);
  },
};

for (const [cause, giveUp] of Object.entries(GIVEN_UP)) {
  await test(`a gap that is ${cause} has one id for ever, however often it starts`, async (t) => {
    const site = await openSite(t);
    const { number } = site.makeThing("boiler");
    const event = site.emit(number);
    site.emit(number);
    await site.store.commit.flushed();
    t.equal((await site.outbox.take("strict", 3)).length, 3);
    giveUp(site, event);
    const first = await ids(site);
    t.same(
      first.map((one) => one.replace(/ \w+$/, "")),
      ["1 thing 1", `2 gap 2-2 event ${cause}`, "3 event 3"],
    );
    for (let start = 1; start <= 3; start += 1) {
      await site.reopen();
      t.same(await ids(site), first, `start ${start}`);
    }
  });
}

await test("a gap that stands for a damaged page has one id, and is counted once", async (t) => {
  const site = await openSite(t);
  const { number } = site.makeThing("boiler");
  for (let n = 0; n < 3; n += 1) site.emit(number);
  await site.store.commit.flushed();
  t.equal((await site.outbox.take("strict", 10)).length, 4);
  await site.store.database.put("q:o0001p00000000001", "not JSON");
  await site.reopen();
  const first = await ids(site);
  t.match(first, [/^4 gap 1-4 any damaged/]);
  for (let start = 1; start <= 3; start += 1) {
    await site.reopen();
    t.same(await ids(site), first, `start ${start}`);
    t.match(site.outbox.state.drops, [{ cause: "damaged", count: 4 }]);
  }
});
