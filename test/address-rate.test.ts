import { test } from "tap";
import { AddressRate } from "../src/address-rate.ts";
import { ManualClock } from "./store/manual-clock.ts";

const MINUTE_MS = 60_000;

function takes(rate: AddressRate, address: string, times: number): number {
  let taken = 0;
  for (let time = 0; time < times; time += 1) if (rate.take(address) === 0) taken += 1;
  return taken;
}

await test("an address has so many tries a minute and regains them evenly", (t) => {
  const clock = new ManualClock();
  const rate = new AddressRate(6, clock);
  t.equal(takes(rate, "a", 10), 6);
  t.equal(rate.has("a"), false);
  clock.advance(MINUTE_MS / 6 - 1);
  t.equal(rate.has("a"), false);
  clock.advance(1);
  t.equal(rate.has("a"), true);
  t.equal(takes(rate, "a", 10), 1);
  clock.advance(10 * MINUTE_MS);
  t.equal(takes(rate, "a", 20), 6, "no more than a minute's worth is saved up");
  t.end();
});

await test("an address that never stops trying regains its tries all the same", (t) => {
  const clock = new ManualClock();
  const rate = new AddressRate(6, clock);
  let taken = 0;
  for (let second = 0; second < 60; second += 1) {
    taken += takes(rate, "a", 5);
    clock.advance(1_000);
  }
  t.equal(taken, 6 + 5, "the first six, and one each ten seconds after");
  t.end();
});

await test("addresses do not use up each other's tries", (t) => {
  const rate = new AddressRate(1, new ManualClock());
  t.equal(takes(rate, "a", 3), 1);
  t.equal(takes(rate, "b", 3), 1);
  t.end();
});

await test("who changes his address within a network of IPv6 has the tries of one", (t) => {
  const rate = new AddressRate(2, new ManualClock());
  t.equal(rate.take("2001:db8::1"), 0);
  t.equal(rate.take("2001:db8::a:b:c:d"), 0);
  t.not(rate.take("2001:db8::3"), 0);
  t.equal(rate.has("2001:db8::4"), false);
  t.equal(rate.take("2001:db8:0:1::3"), 0, "another network");
  rate.giveBack("2001:db8::5");
  t.equal(rate.has("2001:db8::6"), true);
  t.equal(takes(rate, "192.0.2.1", 3), 2);
  t.equal(takes(rate, "::ffff:192.0.2.1", 3), 0, "the same machine on a listener of both");
  t.equal(takes(rate, "192.0.2.2", 3), 2, "of IPv4 each is another");
  t.end();
});

await test("where each address counts by itself a network of IPv6 is nothing", (t) => {
  const rate = new AddressRate(1, new ManualClock(), (address) => address);
  t.equal(takes(rate, "2001:db8::1", 2), 1);
  t.equal(takes(rate, "2001:db8::2", 2), 1);
  t.end();
});

await test("asking uses up nothing", (t) => {
  const rate = new AddressRate(1, new ManualClock());
  for (let time = 0; time < 5; time += 1) t.equal(rate.has("a"), true);
  t.equal(rate.take("a"), 0);
  t.end();
});

await test("0 is no bound", (t) => {
  const rate = new AddressRate(0, new ManualClock());
  t.equal(takes(rate, "a", 1_000), 1_000);
  t.equal(rate.has("a"), true);
  t.end();
});

await test("among very many addresses one that used up its tries is not let off early", (t) => {
  const clock = new ManualClock();
  const rate = new AddressRate(2, clock);
  for (let index = 0; index < 9_990; index += 1) rate.take(`quiet ${index}`);
  clock.advance(MINUTE_MS);
  t.equal(takes(rate, "guessing", 3), 2);
  for (let index = 0; index < 100; index += 1) rate.take(`other ${index}`);
  t.equal(rate.has("guessing"), false);
  t.end();
});
