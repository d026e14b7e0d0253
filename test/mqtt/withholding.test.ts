import { setTimeout as delay } from "node:timers/promises";
import mqtt from "mqtt";
import { test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { RefusalLog } from "../../src/refusal-log.ts";
import { GatewayError } from "../../src/errors.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { openMqtt } from "../../src/mqtt/broker.ts";
import { flushed, grantOn, makeBoiler, makeCredential, openEdge, PASSWORD } from "./edge.ts";

await test("publishes to a store that takes nothing are held for 30 s, then their connection closes, and no other", async (t) => {
  const edge = await openEdge(t);
  makeBoiler(edge);
  const { username } = makeCredential(edge, "device", [grantOn("*")]);
  await flushed(edge);
  const { clock, store } = edge.opened;
  const broker = await openMqtt(edge.deps, {
    refusedFilters: [],
    loginFailures: new AddressRate(0, clock),
    refusals: new RefusalLog(clock),
    isClaimed: () => true,
    deliverability: () => "deliver",
    onFatal: (error) => t.fail(String(error)),
  });
  await broker.start();
  const { plain: port = 0 } = await broker.listen([{ kind: "plain", host: "127.0.0.1", port: 0 }]);
  t.teardown(async () => broker.stop());
  const connect = async (clientId: string): Promise<mqtt.MqttClient> =>
    mqtt.connectAsync({
      ...{ host: "127.0.0.1", port, clientId, username, password: PASSWORD },
      ...{ reconnectPeriod: 0, keepalive: 0 },
    });
  const publisher = await connect("publisher");
  const listener = await connect("listener");
  await listener.subscribeAsync("status/A/things/boiler/properties/target");

  store.writability.setFull(new GatewayError("storage-full", "little room is left"));
  const topic = "set/A/things/boiler/properties/target";
  const timers = clock.waiting;
  let isAcknowledged = false;
  publisher.publish(topic, '{"target":1}', { qos: 1 }, (error) => (isAcknowledged = !error));
  while (clock.waiting === timers) await delay(1);
  const newcomer = await connect("newcomer");
  clock.advance(FIXED_LIMITS.withheldMsMax - 1);
  t.equal(broker.describe().connections, 3, "it is held, and CONNECT is accepted");
  const closed = new Promise<void>((resolve) => publisher.once("close", () => resolve()));
  clock.advance(1);
  await closed;
  t.equal(isAcknowledged, false);
  t.equal(broker.describe().connections, 2, "who only listens stays");

  store.writability.setFull(undefined);
  const again = await connect("publisher");
  await again.publishAsync(topic, '{"target":2}', { qos: 1 });
  const thing = store.things.find("A", "boiler");
  t.equal(store.properties.get(thing?.number ?? 0, "target")?.value, 2);
  t.ok(listener.connected && newcomer.connected);
  for (const client of [listener, newcomer, again]) await client.endAsync(true);
});
