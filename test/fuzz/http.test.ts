import { test } from "tap";
import { fuzzHttp } from "./http-fuzz.ts";
import { KEPT_SEEDS } from "./kept-seeds.ts";

/** The seed of the run that every `npm test` does. */
const SEED = 20_261_122;
const SECONDS = 8;

await test("no request crashes or hangs the server, is answered 5xx, or told what it may not know", async (t) => {
  const { rounds, answers } = await fuzzHttp({ seed: SEED, seconds: SECONDS });
  t.comment(`seed ${SEED}: ${rounds} rounds`);
  for (const status of [200, 201, 204, 400, 401, 403, 404, 405]) {
    t.ok((answers[status] ?? 0) > 0, `${status} was reached`);
  }
});

for (const { seed, firstRound, rounds, what } of KEPT_SEEDS.http) {
  await test(`requests that once failed do no more: ${what}`, async () => {
    await fuzzHttp({ seed, firstRound, rounds, seconds: 30 });
  });
}
