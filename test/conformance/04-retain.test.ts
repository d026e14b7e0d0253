import { t as root, test } from "tap";
import { startBroker } from "./broker.ts";
import type { Peer } from "./peer.ts";
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe, type Qos } from "./wire.ts";

const broker = await startBroker(root);
const writer = await broker.connected({ id: "writer" });

/** Publishes with the retain flag and waits until the gateway has it. */
async function retain(topic: string, payload: string, qos: Qos = 1): Promise<void> {
  writer.send(publish(topic, payload, { qos, id: 2, retain: true }));
  if (qos === 1) await writer.expect(puback(2));
  if (qos === 2) {
    await writer.expect(pubrec(2));
    writer.send(pubrel(2));
    await writer.expect(pubcomp(2));
  }
  if (qos === 0) await writer.expectNothing();
}

async function subscribed(id: string, filter: string, qos: Qos): Promise<Peer> {
  const peer = await broker.connected({ id });
  peer.send(subscribe(1, [[filter, qos]]));
  await peer.expect(suback(1, [qos]));
  return peer;
}

await test("a retained message is kept with its QoS and the latest one goes to each new subscription, with the retain flag [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8]", async () => {
  await retain("keep/a", "old");
  for (const qos of [0, 1, 2] as const) {
    await retain("keep/a", `at ${qos}`, qos);
    const peer = await subscribed("keep-all", "keep/a", 2);
    await peer.expect(publish("keep/a", `at ${qos}`, { qos, id: 1, retain: true }));
    await peer.expectNothing();
    const lower = await subscribed("keep-0", "keep/+", 0);
    await lower.expect(publish("keep/a", `at ${qos}`, { qos: 0, retain: true }));
  }
  await retain("keep/b", "B");
  await retain("keep/b/c", "C");
  const wide = await subscribed("keep-wide", "keep/b/#", 0);
  const topics = [(await wide.receive()).topic, (await wide.receive()).topic].sort();
  if (topics.join() !== "keep/b,keep/b/c") throw new Error(topics.join());
  await wide.expectNothing();
});

await test("a retained message of QoS 0 takes the place of the one before [MQTT-3.3.1-7]", async () => {
  await retain("keep0", "at 1", 1);
  await retain("keep0", "at 0", 0);
  const peer = await subscribed("keep0", "keep0", 2);
  await peer.expect(publish("keep0", "at 0", { qos: 0, retain: true }));
});

await test("a subscription that is there gets a retained message without the flag [MQTT-3.3.1-9]", async () => {
  const peer = await subscribed("live", "live/a", 1);
  await retain("live/a", "now");
  await peer.expect(publish("live/a", "now", { qos: 1, id: 1, retain: false }));
});

await test("an empty retained message is delivered, ends the one that was kept, and is not kept itself [MQTT-3.3.1-10] [MQTT-3.3.1-11]", async () => {
  await retain("empty/a", "kept");
  const live = await subscribed("empty-live", "empty/a", 0);
  await live.expect(publish("empty/a", "kept", { retain: true }));
  await retain("empty/a", "");
  await live.expect(publish("empty/a", "", { retain: false }));
  const late = await subscribed("empty-late", "empty/#", 0);
  await late.expectNothing();
});

await test("a message without the flag is not kept, and leaves the one that is [MQTT-3.3.1-12]", async () => {
  await retain("plain/a", "kept");
  for (const payload of ["passing", ""]) {
    writer.send(publish("plain/a", payload, { qos: 1, id: 3 }));
    writer.send(publish("plain/b", payload, { qos: 1, id: 4 }));
    await writer.expect(puback(3), puback(4));
  }
  const peer = await subscribed("plain", "plain/#", 0);
  await peer.expect(publish("plain/a", "kept", { retain: true }));
  await peer.expectNothing();
});

await test("retained messages outlive the session that published them, and a restart [MQTT-3.1.2-7]", async () => {
  const author = await broker.connected({ id: "author", clean: true });
  author.send(publish("outlive/a", "kept", { qos: 1, id: 1, retain: true }));
  await author.expect(puback(1));
  await author.cut();
  const peer = await subscribed("outlive", "outlive/a", 1);
  await peer.expect(publish("outlive/a", "kept", { qos: 1, id: 1, retain: true }));
  await broker.restart();
  const later = await subscribed("outlive", "outlive/a", 1);
  await later.expect(publish("outlive/a", "kept", { qos: 1, id: 1, retain: true }));
});
