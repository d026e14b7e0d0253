import { test } from "tap";
import { fuzzMqtt } from "./mqtt-fuzz.ts";
import { KEPT_SEEDS } from "./kept-seeds.ts";

/** The seed of the run that every `npm test` does. */
const SEED = 20_261_122;
const SECONDS = 8;

await test("no packets crash, hang or starve the broker, or make it grow", async (t) => {
  const { rounds, answers } = await fuzzMqtt({ seed: SEED, seconds: SECONDS });
  t.comment(`seed ${SEED}: ${rounds} rounds`);
  for (const kind of ["connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "suback"]) {
    t.ok((answers[kind] ?? 0) > 0, `${kind} was reached`);
  }
});

for (const { seed, firstRound, rounds, what } of KEPT_SEEDS.mqtt) {
  await test(`packets that once failed do no more: ${what}`, async () => {
    await fuzzMqtt({ seed, firstRound, rounds, seconds: 30 });
  });
}
