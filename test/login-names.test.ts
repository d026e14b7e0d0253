import { test } from "tap";
import { LoginNames } from "../src/login-names.ts";

const NAME = "anna";
const STRANGER = "192.0.2.66";
const COLLEAGUE = "192.0.2.7";

/** Names under a clock that the test moves. */
function open(freeFailures: number) {
  const clock = { now: 0, monotonicMs: (): number => clock.now };
  return { clock, names: new LoginNames(freeFailures, clock) };
}

await test("some failures of a name are free, then each costs twice the wait of the one before", (t) => {
  const { clock, names } = open(3);
  t.same(
    [1, 2, 3].map(() => names.take(NAME, STRANGER)),
    [0, 0, 0],
  );
  const waits: number[] = [];
  for (let guess = 0; guess < 12; guess += 1) {
    const waitS = names.take(NAME, `192.0.2.${guess}`);
    waits.push(waitS);
    clock.now += waitS * 1000;
    t.equal(names.take(NAME, STRANGER), 0, "after the wait it may be tried");
  }
  t.same(waits.slice(0, 9), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
  t.same(waits.slice(9), [300, 300, 300], "there is a longest wait");
  t.end();
});

await test("a name slowed down slows no other", (t) => {
  const { names } = open(1);
  names.take(NAME, STRANGER);
  t.not(names.take(NAME, STRANGER), 0);
  t.equal(names.take("bert", STRANGER), 0);
  t.end();
});

await test("who was right before is let try from where he was, however many guess", (t) => {
  const { clock, names } = open(1);
  t.equal(names.take(NAME, COLLEAGUE), 0);
  names.right(NAME, COLLEAGUE);
  for (let guess = 0; guess < 50; guess += 1) {
    names.take(NAME, STRANGER);
    clock.now += 500;
  }
  t.not(names.take(NAME, STRANGER), 0);
  t.equal(names.take(NAME, COLLEAGUE), 0);
  t.not(names.take("bert", STRANGER) + names.take("bert", COLLEAGUE), 0, "as himself only");
  names.forget(NAME);
  names.take(NAME, STRANGER);
  t.not(names.take(NAME, COLLEAGUE), 0, "with the old password nobody is known any more");
  t.end();
});

await test("who is right again and again from where he was gives no guesser a try back", (t) => {
  const { names } = open(2);
  names.take(NAME, COLLEAGUE);
  names.right(NAME, COLLEAGUE);
  const checked = Array.from({ length: 20 }, () => {
    names.right(NAME, COLLEAGUE);
    return names.take(NAME, STRANGER);
  }).filter((waitS) => waitS === 0);
  t.equal(checked.length, 2, "two are free, the third waits");
  t.end();
});

await test("quiet, or a right password from a new address, forgets the failures", (t) => {
  const { clock, names } = open(2);
  const use = (): number => names.take(NAME, STRANGER);
  t.same([use(), use(), use()], [0, 0, 1]);
  clock.now += 15 * 60_000;
  t.same([use(), use(), use()], [0, 0, 1], "quiet");
  clock.now += 1000;
  t.equal(use(), 0);
  names.right(NAME, STRANGER);
  t.same([names.take(NAME, COLLEAGUE), names.take(NAME, COLLEAGUE)], [0, 0]);
  t.end();
});

await test("0 is no bound, and what is remembered has one", (t) => {
  const { names: off } = open(0);
  for (let guess = 0; guess < 100; guess += 1) t.equal(off.take(NAME, STRANGER), 0);
  const { names } = open(1);
  names.take(NAME, STRANGER);
  names.right("bert", COLLEAGUE);
  for (let n = 0; n < 10_000; n += 1) {
    names.take(`x${n}`, STRANGER);
    names.right(`y${n}`, COLLEAGUE);
  }
  t.equal(names.take(NAME, STRANGER), 0, "the oldest is forgotten");
  names.take("bert", STRANGER);
  t.not(names.take("bert", COLLEAGUE), 0, "and so is who was right longest ago");
  t.equal(names.take("long".repeat(100), STRANGER), 0);
  t.not(names.take("other".repeat(100), STRANGER), 0, "long names are nobody's, and are one");
  t.end();
});
