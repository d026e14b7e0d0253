import { test } from "tap";
import { FIXED_LIMITS } from "../src/limits.ts";
import { REFUSAL_CAUSES } from "../src/refusal-causes.ts";
import { RefusalLog, type Refusal } from "../src/refusal-log.ts";
import { tableRows } from "./documents.ts";

const {
  refusalsPerClientMax: OF_CLIENT,
  refusalsPerNetworkMax: OF_NETWORK,
  refusalsMax: OF_ALL,
  refusalTextLengthMax: LENGTH,
} = FIXED_LIMITS;

function makeLog() {
  const time = { ms: 1_000 };
  return { time, log: new RefusalLog({ wallMs: () => time.ms }) };
}

function refusal(given: Partial<Refusal> = {}): Refusal {
  return {
    cause: "wrong-password",
    protocol: "mqtt",
    address: "192.0.2.1",
    clientId: "pump",
    detail: "the password is wrong",
    ...given,
  };
}

await test("the same refusal is one row that counts, from the first time to the last", (t) => {
  const { time, log } = makeLog();
  for (let n = 0; n < 3; n += 1) {
    log.note(refusal());
    time.ms += 10;
  }
  log.note(refusal({ cause: "not-its-topic", topic: "set/A/x" }));
  log.note(refusal({ cause: "not-its-topic", topic: "set/A/y" }));
  const found = log.list({}, 10);
  t.same(
    found.map(({ topic, count, first, last }) => [topic, count, first, last]),
    [
      ["set/A/y", 1, 1_030, 1_030],
      ["set/A/x", 1, 1_030, 1_030],
      [undefined, 3, 1_000, 1_020],
    ],
  );
  t.same(log.counts, { "wrong-password": 3, "not-its-topic": 2 });
  t.end();
});

await test("a client, a user and an address can be asked for, and the newest come first", (t) => {
  const { time, log } = makeLog();
  for (const [address, clientId, user] of [
    ["192.0.2.1", "a", "anna"],
    ["::ffff:192.0.2.1", "b", "bert"],
    ["192.0.2.2", "a", "bert"],
  ] as const) {
    log.note(refusal({ address, clientId, user }));
    time.ms += 1;
  }
  const who = (filter: Parameters<typeof log.list>[0], limit = 10) =>
    log.list(filter, limit).map(({ clientId, user }) => `${clientId ?? ""} ${user ?? ""}`);
  t.same(who({}), ["a bert", "b bert", "a anna"]);
  t.same(who({}, 1), ["a bert"]);
  t.same(who({ clientId: "a" }), ["a bert", "a anna"]);
  t.same(who({ user: "bert" }), ["a bert", "b bert"]);
  t.same(who({ address: "192.0.2.1" }), ["b bert", "a anna"], "in IPv4's and in IPv6's words");
  t.same(who({ clientId: "a", address: "192.0.2.2" }), ["a bert"]);
  t.same(who({ clientId: "c" }), []);
  t.end();
});

await test("one who floods the log pushes out his own refusals, not those of others", (t) => {
  const { log } = makeLog();
  log.note(refusal({ address: "192.0.2.7", clientId: "quiet" }));
  log.note(refusal({ clientId: "neighbour" }));
  for (let n = 0; n < 1_000; n += 1) log.note(refusal({ clientId: "loud", topic: `t/${n}` }));
  t.equal(log.list({ clientId: "loud" }, 10_000).length, OF_CLIENT);
  t.equal(log.list({ clientId: "loud" }, 1)[0]?.topic, "t/999");
  t.equal(log.list({ clientId: "neighbour" }, 10).length, 1, "of the same address");

  for (let n = 0; n < 10_000; n += 1) log.note(refusal({ clientId: `made-up-${n}` }));
  t.equal(log.list({ address: "192.0.2.1" }, 100_000).length, OF_NETWORK);
  t.equal(log.list({ clientId: "quiet" }, 10).length, 1, "of another address");

  for (let n = 0; n < 10_000; n += 1) {
    log.note(refusal({ address: `2001:db8::${(n % 9_999).toString(16)}`, clientId: `c${n}` }));
  }
  t.equal(log.list({ clientId: "quiet" }, 10).length, 1, "one network of IPv6 counts as one");
  t.end();
});

await test("addresses without number fill the log to its bound and no further", (t) => {
  const { log } = makeLog();
  for (let n = 0; n < 40; n += 1) log.note(refusal({ topic: `t/${n}` }));
  for (let n = 0; n < 5_000; n += 1) log.note(refusal({ address: `10.1.${n >> 8}.${n & 255}` }));
  t.equal(log.list({}, 100_000).length, OF_ALL);
  t.equal(log.list({}, 1)[0]?.address, "10.1.19.135");
  t.end();
});

await test("what strangers chose is cut, and a token in the wrong field is left out", (t) => {
  const { log } = makeLog();
  const token = `slu_${"x".repeat(32)}`;
  log.note(refusal({ user: token, topic: `a/${token}/b`, clientId: "c".repeat(10_000) }));
  const [noted] = log.list({}, 1);
  t.equal(noted?.user, "slu_…");
  t.equal(noted?.topic, "a/slu_…/b");
  t.equal(noted?.clientId?.length, LENGTH);
  t.end();
});

await test("docs/security.md has a row for each cause, and no other", (t) => {
  const rows = tableRows("docs/security.md", ["cause", "what it means", "what to do"]);
  const expected = Object.entries(REFUSAL_CAUSES).map(([cause, { title, remedy }]) => {
    return [`\`${cause}\``, title, remedy];
  });
  t.same(rows, expected);
  t.end();
});
