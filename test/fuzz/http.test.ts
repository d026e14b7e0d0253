import { test } from "tap";
import { exchange } from "./exchange.ts";
import { fuzzHttp } from "./http-fuzz.ts";
import { KEPT_SEEDS } from "./kept-seeds.ts";
import { startTarget } from "./target.ts";

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

await test("an expectation that nobody knows is passed over: Node's 417 has no body of ours", async (t) => {
  const target = await startTarget();
  t.teardown(async () => target.stop());
  const head = "GET /readyz HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nConnection: close\r\n\r\n";
  const outcome = await exchange(target.httpPort, { bytes: Buffer.from(head), endsFirst: false });
  t.match(outcome, { kind: "answer", answer: { status: 200 } });
});
