import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { TopicMemo } from "../../src/mqtt/topic-memo.ts";

/** Counts how often something is made. */
function countingMemo() {
  const memo = new TopicMemo<string>();
  let made = 0;
  const of = (topic: string): string =>
    memo.of(topic, (name) => {
      made += 1;
      return `${name} ${made}`;
    });
  return { memo, of };
}

await test("what was made of a topic is made once, until it is cleared", (t) => {
  const { memo, of } = countingMemo();
  t.same([of("a"), of("b"), of("a")], ["a 1", "b 2", "a 1"]);
  memo.clear();
  t.same([of("a"), of("b")], ["a 3", "b 4"]);
  t.end();
});

await test("long topics and ever new ones fill no memory", (t) => {
  const { of } = countingMemo();
  const long = "x".repeat(FIXED_LIMITS.memoTopicCharactersMax + 1);
  t.not(of(long), of(long));
  const first = of("0");
  for (let topic = 1; topic < FIXED_LIMITS.memoTopicsMax; topic += 1) of(String(topic));
  t.equal(of("0"), first);
  of("one too many");
  t.not(of("0"), first);
  t.end();
});
