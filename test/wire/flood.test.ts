import { t as file, test } from "tap";
import { publishPacket, RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const INFLIGHT = 10;
const ROUNDS = 4;

// All of a flood is in one segment, and a batch closes behind the turn that began it.
const site = await Site.start(file, {
  SLUICE_STORE__GATHER_MS: "0",
  SLUICE_LIMITS__INFLIGHT: String(INFLIGHT),
});
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([{ entity: "things", id: ["boiler"] }]);
const TOPIC = "set/A/things/boiler/properties/target";

async function batches(): Promise<number> {
  const reply = await site.did("GET", "/gateway");
  return (reply.json as { store: { batches: number } }).store.batches;
}

await test("of a client that floods no more is taken than limits.inflight until that is on disk", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "flood" });
  for (const qos of [0, 1, 2] as const) {
    const before = await batches();
    const flood = Array.from({ length: INFLIGHT * ROUNDS }, (_, index) =>
      publishPacket(TOPIC, { target: index }, { qos, ...(qos === 0 ? {} : { id: index + 1 }) }),
    );
    // What is answered says that all before it were taken.
    client.send(...flood, { cmd: "unsubscribe", messageId: 1_000, unsubscriptions: ["a"] });
    await client.take(qos === 0 ? 1 : flood.length + 1);
    const needed = (await batches()) - before;
    t.ok(needed >= ROUNDS, `at QoS ${qos} ${flood.length} publishes take ${needed} batches`);
  }
});
