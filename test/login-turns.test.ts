import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { AddressRate } from "../src/address-rate.ts";
import { LoginTurns } from "../src/login-turns.ts";
import { ManualClock } from "./store/manual-clock.ts";

const HERE = "192.0.2.1";

class Log {
  readonly turns: LoginTurns;
  readonly answers: number[] = [];

  constructor(perMinute: number, waitingMax = 100) {
    this.turns = new LoginTurns(new AddressRate(perMinute, new ManualClock()), waitingMax);
  }

  enter(address = HERE): void {
    void this.turns.enter(address).then((waitS) => this.answers.push(waitS));
  }

  async leave(isRight: boolean, address = HERE): Promise<void> {
    this.turns.leave(address, { isRight });
    await nextTurn();
  }
}

await test("log-ins beyond the rate wait for those under way, and go on as these turn out right", async (t) => {
  const log = new Log(2);
  for (let entered = 0; entered < 6; entered += 1) log.enter();
  await nextTurn();
  t.same(log.answers, [0, 0]);
  for (let left = 0; left < 6; left += 1) await log.leave(true);
  t.same(log.answers, [0, 0, 0, 0, 0, 0], "none was refused");
  log.enter();
  log.enter();
  log.enter();
  await nextTurn();
  t.equal(log.answers.length, 8, "and every token is back, none more");
});

await test("wrong ones use up the rate: whoever waits is refused with the last of them", async (t) => {
  const log = new Log(2);
  for (let entered = 0; entered < 4; entered += 1) log.enter();
  await nextTurn();
  await log.leave(false);
  t.same(log.answers, [0, 0], "one more may turn out right");
  await log.leave(false);
  t.same(log.answers, [0, 0, 30, 30]);
  log.enter();
  await nextTurn();
  t.same(log.answers, [0, 0, 30, 30, 30], "nobody is there whose turn could come back");
});

await test("each address waits for its own, and only so many of one", async (t) => {
  const log = new Log(1, 1);
  log.enter();
  log.enter();
  log.enter();
  log.enter("192.0.2.2");
  await nextTurn();
  t.same(log.answers, [0, 60, 0]);
  await log.leave(true);
  t.same(log.answers, [0, 60, 0, 0]);
});

await test("machines of one network of IPv6 wait for each other's", async (t) => {
  const log = new Log(1);
  log.enter("2001:db8::1");
  log.enter("2001:db8::2");
  await nextTurn();
  t.same(log.answers, [0], "the one token is lent, and may come back");
  await log.leave(true, "2001:db8::1");
  t.same(log.answers, [0, 0]);
});
