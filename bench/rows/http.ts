import type { HttpJob, HttpResult } from "../generator/job.ts";
import { observe } from "../observe.ts";
import { HTTP_PROPERTY } from "../peers/http-answer.ts";
import { interleave, ratioOf, type Bench, type Run } from "../rounds.ts";
import { bareHttp } from "../targets/bare-http.ts";
import { ACCOUNT, sluice } from "../targets/sluice.ts";
import type { Broker, Target } from "../targets/target.ts";
import type { Group } from "./group.ts";
import { percentOf, medianOf } from "./loads.ts";

const CONNECTIONS = 50;
const PATH = `/${ACCOUNT}/things/bench-000/properties/${HTTP_PROPERTY}`;

/** GET of one property with a bearer token, beside a server that only answers. */
export const http: Group = {
  name: "http",
  measure: async (bench) => {
    const outcomes = await interleave(bench, [
      httpRun(bench, sluice({ things: 1 }), ({ adminToken, httpPort }) => ({
        port: httpPort,
        headers: { authorization: `Bearer ${adminToken}` },
      })),
      httpRun(bench, bareHttp, ({ endpoint }) => ({ port: endpoint.port, headers: {} })),
    ]);
    const [ours, theirs] = outcomes;
    return {
      findings: { get: ratioOf(ours, theirs, ({ value }) => value.perSecond) },
      details: outcomes
        .filter(({ rounds }) => rounds.length > 0)
        .map(({ name, rounds }) => ({
          who: name,
          "requests/s": Math.round(medianOf(rounds, ({ value }) => value.perSecond)),
          "p50 / p99 ms": [
            medianOf(rounds, ({ value }) => value.latency.p50).toFixed(2),
            medianOf(rounds, ({ value }) => value.latency.p99).toFixed(2),
          ].join(" / "),
          "server CPU": percentOf(rounds, ({ seen }) => seen.brokerCpu),
          "generator CPU": percentOf(rounds, ({ value }) => value.cpu),
          "others' CPU": percentOf(rounds, ({ seen }) => seen.foreignCpu),
        })),
    };
  },
};

function httpRun<Started extends Broker>(
  bench: Bench,
  target: Target<Started>,
  access: (broker: Started) => Pick<HttpJob, "port" | "headers">,
): Run<HttpResult> {
  return {
    name: target.name,
    missing: target.missing,
    describe: ({ perSecond, cpu }) =>
      `${Math.round(perSecond)}/s, generator ${Math.round(cpu * 100)} %`,
    measure: async () => {
      const broker = await target.start();
      try {
        return await observe(broker.program, {
          kind: "http",
          host: "127.0.0.1",
          path: PATH,
          connections: CONNECTIONS,
          warmupMs: bench.warmupMs,
          measureMs: bench.measureMs,
          ...access(broker),
        });
      } finally {
        await broker.stop();
      }
    },
  };
}
