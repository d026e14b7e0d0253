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
