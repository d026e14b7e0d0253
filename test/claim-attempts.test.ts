import { test } from "tap";
import { ClaimAttempts } from "../src/claim-attempts.ts";
import { FIXED_LIMITS } from "../src/limits.ts";
import { peerNetwork } from "../src/peer-network.ts";

const { claimAttemptsPerMinute: OF_ALL, claimAttemptsPerMinutePerAddress: OF_ONE } = FIXED_LIMITS;

function attempts() {
  const time = { ms: 0 };
  return { time, tries: new ClaimAttempts({ monotonicMs: () => time.ms }) };
}

await test("an address has its attempts a minute, regained evenly, and others keep theirs", (t) => {
  const { time, tries } = attempts();
  for (let n = 0; n < OF_ONE; n += 1) t.equal(tries.take("192.0.2.1"), 0);
  t.equal(tries.take("192.0.2.1"), 60 / OF_ONE);
  t.equal(tries.take("::ffff:192.0.2.1"), 60 / OF_ONE, "the same in IPv6's words");
  t.equal(tries.take("192.0.2.2"), 0);
  time.ms += 60_000 / OF_ONE;
  t.equal(tries.take("192.0.2.1"), 0);
  t.ok(tries.take("192.0.2.1") > 0);
  t.end();
});

await test("all addresses together have a bound, and one alone does not reach it", (t) => {
  const { time, tries } = attempts();
  for (let n = 0; n < 10_000; n += 1) tries.take("192.0.2.1");
  t.equal(tries.take("192.0.2.2"), 0, "a colleague can");
  const { tries: fresh, time: later } = attempts();
  const taken = Array.from({ length: 1_000 }, (_, n) => fresh.take(`10.0.${n >> 8}.${n & 255}`));
  t.equal(taken.filter((waitS) => waitS === 0).length, OF_ALL);
  t.equal(fresh.take("192.0.2.9"), 60 / OF_ALL);
  later.ms += 60_000 / OF_ALL;
  t.equal(fresh.take("192.0.2.9"), 0, "one attempt is regained, for whoever comes");
  t.equal(time.ms, 0);
  t.end();
});

await test("a right code costs nothing", (t) => {
  const { tries } = attempts();
  for (let n = 0; n < 10 * OF_ALL; n += 1) {
    t.equal(tries.take("192.0.2.1"), 0);
    tries.giveBack("192.0.2.1");
  }
  t.end();
});

await test("of IPv6 a network of 64 bits counts as one", (t) => {
  for (const [address, network] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::1", "0:0:0:0::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:0:0:ffff::1", "2001:db8:0:0::/64"],
    ["2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ] as const) {
    t.equal(peerNetwork(address), network, address);
  }
  t.end();
});
