import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { Conflicts } from "../../src/uplink/conflicts.ts";

const { uplinkEchoMsMax, uplinkEchoesMax, uplinkEchoesPerPropertyMax } = FIXED_LIMITS;

function sent(conflicts: Conflicts, slot: string, ...values: readonly string[]): void {
  for (const [index, value] of values.entries()) {
    conflicts.sent({ slot, value, sequence: 100 + index }, index + 1);
    conflicts.acknowledged(slot, index + 1, 0);
  }
}

await test("what comes while a local change is unacknowledged loses", (t) => {
  const conflicts = new Conflicts();
  t.equal(conflicts.arrived("1 p", "7", true), "lost");
  t.equal(conflicts.arrived("1 p", "7", false), "apply");
  t.end();
});

await test("what comes loses until the echo has come, and only of that property", (t) => {
  const conflicts = new Conflicts();
  sent(conflicts, "1 p", "1");
  t.equal(conflicts.arrived("1 q", "2", false), "apply");
  t.equal(conflicts.arrived("1 p", "2", false), "lost");
  t.equal(conflicts.arrived("1 p", "1", false), "echo");
  t.equal(conflicts.arrived("1 p", "1", false), "apply", "an echo comes once");
  t.end();
});

await test("an echo that comes ends the wait for those before it", (t) => {
  const conflicts = new Conflicts();
  sent(conflicts, "1 p", "1", "2", "3");
  t.equal(conflicts.oldest, 100);
  t.equal(conflicts.arrived("1 p", "2", false), "echo");
  t.equal(conflicts.awaited, 1);
  t.equal(conflicts.oldest, 102);
  t.equal(conflicts.arrived("1 p", "1", false), "lost");
  t.equal(conflicts.arrived("1 p", "3", false), "echo");
  t.equal(conflicts.awaited, 0);
  t.equal(conflicts.oldest, undefined);
  t.end();
});

await test("what was sent twice may come back twice", (t) => {
  const conflicts = new Conflicts();
  sent(conflicts, "1 p", "1");
  sent(conflicts, "1 p", "1");
  t.equal(conflicts.arrived("1 p", "1", false), "echo");
  t.equal(conflicts.arrived("1 p", "1", false), "echo");
  t.equal(conflicts.arrived("1 p", "1", false), "apply");
  t.end();
});

await test("an echo is waited for while it can come, and then no more", (t) => {
  const conflicts = new Conflicts();
  sent(conflicts, "1 p", "1");
  t.equal(conflicts.mayLeave("1 p", uplinkEchoMsMax * 9), false, "there is no line");
  conflicts.lineOpened(50_000);
  t.equal(conflicts.mayLeave("1 p", 50_000 + uplinkEchoMsMax - 1), false);
  t.equal(conflicts.mayLeave("1 p", 50_000 + uplinkEchoMsMax), true);
  t.equal(conflicts.arrived("1 p", "2", false), "apply");
  t.end();
});

await test("what is not acknowledged is waited for, unless it is not sent again", (t) => {
  const conflicts = new Conflicts();
  conflicts.lineOpened(0);
  conflicts.sent({ slot: "1 p", value: "1", sequence: 1 }, 1);
  t.equal(conflicts.mayLeave("1 p", 10 * uplinkEchoMsMax), false);
  conflicts.lineClosed();
  conflicts.lineOpened(10 * uplinkEchoMsMax);
  conflicts.sweep(11 * uplinkEchoMsMax);
  t.equal(conflicts.awaited, 0);
  t.end();
});

await test("one that is over does not end the wait for a later one", (t) => {
  const conflicts = new Conflicts();
  conflicts.lineOpened(0);
  sent(conflicts, "1 p", "1");
  conflicts.sent({ slot: "1 p", value: "2", sequence: 2 }, 2);
  t.equal(conflicts.mayLeave("1 p", uplinkEchoMsMax), false);
  t.equal(conflicts.awaited, 1);
  t.end();
});

await test("so many are remembered, and of one property so many: the oldest go", (t) => {
  const conflicts = new Conflicts();
  const values = Array.from({ length: uplinkEchoesPerPropertyMax + 1 }, (_, index) => `${index}`);
  sent(conflicts, "1 p", ...values);
  t.equal(conflicts.awaited, uplinkEchoesPerPropertyMax);
  t.equal(conflicts.oldest, 101);
  for (let slot = 0; slot < uplinkEchoesMax; slot += 1) sent(conflicts, `${slot} q`, "1");
  t.equal(conflicts.awaited, uplinkEchoesMax);
  t.equal(conflicts.arrived("1 p", "5", false), "apply", "of those sent first all are gone");
  t.equal(conflicts.arrived("0 q", "1", false), "echo");
  t.end();
});

await test("a short while after a value went up its equal may be one more echo", (t) => {
  const conflicts = new Conflicts();
  conflicts.lineOpened(0);
  t.equal(conflicts.mayEcho("1 p", 0), false);
  sent(conflicts, "1 p", "1");
  t.equal(conflicts.mayEcho("1 p", uplinkEchoMsMax - 1), true);
  t.equal(conflicts.mayEcho("1 p", uplinkEchoMsMax), false);
  t.end();
});
