import { readFileSync, rmSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { CA_END_MS } from "../../src/tls/authority.ts";
import { namesIn } from "../../src/tls/renewal.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { DAY_MS, folderOf, Machine, openOwn } from "./kit.ts";

const NOW = Date.UTC(2027, 4, 1);

function clockAt(wall: number, synced = true): ManualClock {
  return Object.assign(new ManualClock(), { wall, synced });
}

function endOf({ own }: Awaited<ReturnType<typeof openOwn>>): number {
  return Date.parse(own.pair.chain[0].validTo);
}

await test("it is renewed when two thirds of its 397 days are over, with the same key, and not before", async (t) => {
  const folder = folderOf(t);
  const clock = clockAt(NOW);
  const opened = await openOwn(folder, clock);
  const { own } = opened;
  t.equal(endOf(opened), NOW + 397 * DAY_MS);
  const [before] = own.pair.chain;
  clock.wall = NOW + 264 * DAY_MS;
  t.equal(await own.check(), undefined);
  clock.wall = NOW + 265 * DAY_MS;
  t.equal(await own.check(), "two thirds of its life are over");
  const [after] = own.pair.chain;
  t.equal(endOf(opened), clock.wall + 397 * DAY_MS);
  t.equal(
    after.publicKey.export({ type: "spki", format: "pem" }),
    before.publicKey.export({ type: "spki", format: "pem" }),
  );
  t.not(after.serialNumber, before.serialNumber);
  const again = await openOwn(folder, clock);
  t.equal(again.own.pair.chain[0].fingerprint256, after.fingerprint256, "it is on disk");
});

await test("while the time is not known it lasts until 2049, and 397 days once it is", async (t) => {
  const folder = folderOf(t);
  const clock = clockAt(NOW, false);
  const opened = await openOwn(folder, clock);
  t.equal(endOf(opened), CA_END_MS);
  t.equal(await opened.own.check(), undefined, "once is enough");
  clock.synced = true;
  clock.wall = NOW + 730 * DAY_MS;
  t.match(await opened.own.check(), /need not last so long/);
  t.equal(endOf(opened), clock.wall + 397 * DAY_MS);
  clock.synced = false;
  t.match(await opened.own.check(), /whatever the time is/);
});

await test("a box that was off for two years without a clock is let in by devices that know the time", async (t) => {
  const folder = folderOf(t);
  await openOwn(folder, clockAt(NOW));
  const back = await openOwn(folder, clockAt(NOW, false));
  t.ok(endOf(back) > NOW + 730 * DAY_MS);
});

await test("a clock that is set back makes it end 397 days from then", async (t) => {
  const folder = folderOf(t);
  const clock = clockAt(NOW + 730 * DAY_MS);
  const opened = await openOwn(folder, clock);
  clock.wall = NOW;
  t.match(await opened.own.check(), /need not last so long/);
  t.equal(endOf(opened), NOW + 397 * DAY_MS);
});

await test("in the last year of the CA nothing is renewed again and again", async (t) => {
  const clock = clockAt(CA_END_MS - 10 * DAY_MS);
  const { own } = await openOwn(folderOf(t), clock);
  t.equal(await own.check(), undefined);
  clock.wall = CA_END_MS + DAY_MS;
  t.equal(await own.check(), undefined);
});

await test("a new name or address is in a new one at once; one that went stays until the next renewal by age", async (t) => {
  const folder = folderOf(t);
  const clock = clockAt(NOW);
  const machine = new Machine();
  const { own } = await openOwn(folder, clock, machine);
  machine.where = ["127.0.0.1", "198.51.100.9", "2001:db8::9"];
  t.equal(await own.check(), "it does not name 198.51.100.9, 2001:db8::9");
  const names = namesIn(own.pair.chain[0]);
  for (const name of ["198.51.100.9", "2001:db8::9", "192.0.2.7"]) t.ok(names.includes(name), name);
  machine.where = ["127.0.0.1", "192.0.2.7"];
  t.equal(await own.check(), undefined, "an address that comes back is there already");
  machine.name = "press-4";
  t.equal(await own.check(), "it does not name press-4, press-4.local");
  clock.wall += 300 * DAY_MS;
  await own.check();
  const later = namesIn(own.pair.chain[0]);
  t.notOk(later.includes("198.51.100.9"));
  t.ok(later.includes("press-4.local"));
});

await test("more addresses than a certificate holds are not asked for again and again", async (t) => {
  const machine = new Machine();
  machine.where = Array.from({ length: 300 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  const { own } = await openOwn(folderOf(t), clockAt(NOW), machine);
  t.equal(namesIn(own.pair.chain[0]).length, 100);
  t.equal(await own.check(), undefined);
});

await test("one that cannot be written serves all the same, and says so", async (t) => {
  const folder = folderOf(t);
  const machine = new Machine();
  const { own } = await openOwn(folder, clockAt(NOW), machine);
  const path = join(folder, "server.pem");
  const before = readFileSync(path, "utf8");
  mkdirSync(`${path}.new`);
  machine.name = "press-4";
  t.match(await own.check(), /press-4/);
  t.match(own.problem, /could not be written/);
  t.ok(namesIn(own.pair.chain[0]).includes("press-4"));
  t.equal(readFileSync(path, "utf8"), before);
  rmSync(`${path}.new`, { recursive: true });
});
