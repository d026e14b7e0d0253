import { interleave, ratioOf, type Finding } from "../rounds.ts";
import { aedes } from "../targets/aedes.ts";
import { mosquitto } from "../targets/mosquitto.ts";
import { nats } from "../targets/nats.ts";
import { rabbitmq } from "../targets/rabbitmq.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, DURABLE, FORWARDED, loadRun, STORED, THINGS } from "./loads.ts";

/** set → validate → state and history synced → PUBACK → status, beside brokers that do less. */
export const durable: Group = {
  name: "durable",
  measure: async (bench, wanted) => {
    const peers = [
      loadRun(bench, mosquitto, FORWARDED),
      loadRun(bench, aedes, FORWARDED),
      loadRun(bench, rabbitmq, STORED),
      loadRun(bench, nats, STORED),
    ].filter(({ name }) => wanted.has(name));
    const ours = loadRun(bench, sluice({ things: THINGS }), DURABLE);
    const outcomes = await interleave(bench, [ours, ...peers]);
    const findings = outcomes
      .slice(1)
      .map((peer): readonly [string, Finding] => [
        peer.name,
        ratioOf(outcomes[0], peer, ({ value }) => value.perSecond),
      ]);
    return { findings: Object.fromEntries(findings), details: detailsOf(outcomes) };
  },
};
