import { randomBytes } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { startBroker, type Broker } from "./broker.ts";
import { PINGREQ, PINGRESP, puback, publish } from "./wire.ts";

/** Bytes of each message that fills the store: as many as a packet may have, and not to be squeezed. */
const BULK_BYTES = 250_000;

/** Writes until the gateway finds its store over the quota; the write of that moment may be held. */
async function fill(broker: Broker): Promise<void> {
  const isFull = (): boolean => broker.logged.some(([, event]) => event === "store.full");
  const writer = await broker.connected({ id: "filler" });
  for (let count = 0; count < 100; count += 1) {
    writer.send(publish(`bulk/${count}`, randomBytes(BULK_BYTES), { qos: 1, id: 1, retain: true }));
    const answered = writer.expect(puback(1)).then(() => true);
    while (!isFull() && !(await Promise.race([answered, nextTurn(false)])));
    // The gateway looks at its disk twice a second, and takes the time it needs for it.
    broker.clock.advance(500);
    for (let turns = 0; turns < 20; turns += 1) await nextTurn();
    if (isFull()) {
      answered.catch(() => undefined);
      return;
    }
  }
  throw new Error("the store did not get full");
}

await test("a publish that cannot be stored for 30 s closes its connection, and is never acknowledged [MQTT-4.8.0-2]", async (t) => {
  const broker = await startBroker(t, { SLUICE_STORE__QUOTA_MB: "14" });
  await fill(broker);
  const bystander = await broker.connected({ id: "bystander" });
  const writer = await broker.connected({ id: "writer" });
  writer.send(PINGREQ, publish("bulk/late", "x", { qos: 1, id: 1 }));
  await writer.expect(PINGRESP);
  broker.clock.advance(29_000);
  bystander.send(PINGREQ);
  await bystander.expect(PINGRESP);
  t.notOk(writer.isClosed, "it is held for a while");
  broker.clock.advance(2_000);
  await writer.expectClosed();
  bystander.send(PINGREQ);
  await bystander.expect(PINGRESP);
});
