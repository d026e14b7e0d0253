import fc from "fast-check";
import { test } from "tap";
import { Waiting } from "../../src/mqtt/waiting.ts";

type Entry = {
  readonly counter: number;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly isState: boolean;
};

/** Said plainly: states of QoS 1 and 2 that have a later one on their topic. */
function replacedAmong(entries: readonly Entry[]): readonly Entry[] {
  const counts = ({ isState, qos }: Entry): boolean => isState && qos !== 0;
  return entries.filter(
    (entry, index) =>
      counts(entry) &&
      entries.slice(index + 1).some((later) => counts(later) && later.topic === entry.topic),
  );
}

await test("it knows which states are replaced, through additions, deletions from the front and of the replaced", (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({
        step: fc.constant("add" as const),
        topic: fc.constantFrom("a", "b"),
        qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
        isState: fc.boolean(),
      }),
      fc.record({ step: fc.constant("send" as const) }),
      fc.record({ step: fc.constant("makeRoom" as const) }),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const waiting = new Waiting<Entry>();
      let model: Entry[] = [];
      let counter = 0;
      for (const each of all) {
        if (each.step === "add") {
          const { topic, qos, isState } = each;
          const entry = { counter: (counter += 1), topic, qos, isState };
          waiting.add(entry);
          model.push(entry);
        } else if (each.step === "send") {
          const first = model.shift();
          if (first !== undefined) waiting.delete(first);
        } else {
          const replaced = replacedAmong(model);
          for (const entry of waiting.replaced) waiting.delete(entry);
          model = model.filter((entry) => !replaced.includes(entry));
        }
        t.strictSame([...waiting.values()], model);
        t.strictSame([...waiting.replaced], replacedAmong(model));
        const latest = model.findLast(({ topic, isState, qos }) => {
          return topic === "a" && isState && qos !== 0;
        });
        t.equal(waiting.latestState("a"), latest);
        t.equal(waiting.size, model.length);
      }
    }),
    { numRuns: 300 },
  );
  t.end();
});
