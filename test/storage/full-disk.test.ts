import { setTimeout as delay } from "node:timers/promises";
import mqtt from "mqtt";
import { test, type Test } from "tap";
import { openSite, type Site } from "../site.ts";
import { mountSmallDisk, type SmallDisk } from "./small-disk.ts";

const CANNOT_MOUNT = "mounting a small file system takes root";
const THING = "/site/things/boiler";

type Full = { readonly disk: SmallDisk; readonly site: Site; readonly login: mqtt.IClientOptions };

/** @returns `undefined` where no small disk can be mounted. */
async function openOnSmallDisk(t: Test): Promise<Full | undefined> {
  const disk = mountSmallDisk(t, 64);
  if (disk === undefined) return undefined;
  const site = await openSite(t, { SLUICE_STORE__PATH: `${disk.path}/store` });
  await site.call("PUT", THING, { properties: { v: {} } });
  const { username, password } = await site.makeCredential("device");
  return { disk, site, login: { username, password, reconnectPeriod: 0 } };
}

function cannotMount(t: Test): void {
  if (process.env["CI"] === "true") t.fail(CANNOT_MOUNT);
  else t.pass(`skipped: ${CANNOT_MOUNT}`);
}

/** The gateway looks at its disk twice a second: asks until it says what is awaited. */
async function untilState({ site }: Full, state: string): Promise<void> {
  for (;;) {
    const seen = (await site.call("GET", "/gateway")) as { store: { state: string } };
    if (seen.store.state === state) return;
    await delay(50);
  }
}

async function put({ site }: Full, value: unknown): Promise<Response> {
  return fetch(`${site.url}${THING}/properties/v`, {
    method: "PUT",
    headers: { authorization: `Bearer ${site.admin}` },
    body: JSON.stringify({ v: value }),
  });
}

await test("a disk that fills up refuses changes, serves the rest, and takes changes again by itself", async (t) => {
  const full = await openOnSmallDisk(t);
  if (full === undefined) {
    cannotMount(t);
    return;
  }
  const { disk, site, login } = full;
  const url = `mqtt://127.0.0.1:${site.mqttPort}`;
  const reader = await mqtt.connectAsync(url, login);
  const heard: string[] = [];
  reader.on("message", (_topic, payload) => void heard.push(payload.toString()));
  await reader.subscribeAsync("status/site/things/boiler/properties/v", { qos: 1 });
  const writer = await mqtt.connectAsync(url, login);
  const topic = "set/site/things/boiler/properties/v";
  await writer.publishAsync(topic, '{"v":1}', { qos: 1 });

  await disk.leave(2 * 1024 * 1024);
  await untilState(full, "storage-full");
  const refused = await put(full, 2);
  t.equal(refused.status, 503);
  t.match(await refused.json(), { type: "/problems/storage-full", code: "storage-full" });
  t.same(await site.call("GET", `${THING}/properties/v`), { v: 1 }, "reads go on");
  t.match(await site.call("GET", `${THING}/properties-history`), {
    data: [{ properties: { v: 1 } }],
  });
  await site.call("DELETE", `${THING}/properties/none`).then(
    () => t.fail("there is no such property"),
    (error: unknown) => t.match(String(error), "404", "a deletion is not refused for the disk"),
  );

  let isAcknowledged = false;
  const held = writer
    .publishAsync(topic, '{"v":3}', { qos: 1 })
    .then(() => (isAcknowledged = true));
  const newcomer = await mqtt.connectAsync(url, login);
  await newcomer.subscribeAsync("status/site/things/boiler/properties/v", { qos: 1 });
  t.equal(isAcknowledged, false, "a publish is held, and not acknowledged");

  disk.free();
  await held;
  t.ok(reader.connected && writer.connected && newcomer.connected, "nobody was cut off");
  t.equal((await put(full, 4)).status, 200);
  t.same(await site.call("GET", `${THING}/properties/v`), { v: 4 });
  while (!heard.includes('{"v":4}')) await delay(20);
  t.same(
    heard.filter((payload) => payload !== '{"v":1}'),
    ['{"v":3}', '{"v":4}'],
  );
  for (const client of [reader, writer, newcomer]) await client.endAsync(true);
});

await test("a write that meets a full disk is held, and nothing acknowledged is lost", async (t) => {
  const full = await openOnSmallDisk(t);
  if (full === undefined) {
    cannotMount(t);
    return;
  }
  const { disk, site, login } = full;
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${site.mqttPort}`, login);
  const topic = "set/site/things/boiler/properties/v";
  const big = "x".repeat(60_000);
  let acknowledged = 0;
  const publishes: Promise<unknown>[] = [];
  const publish = (value: number): void => {
    const payload = JSON.stringify({ v: [value, big] });
    publishes.push(
      client.publishAsync(topic, payload, { qos: 1 }).then(() => (acknowledged = value)),
    );
  };
  publish(1);
  await publishes[0];
  // No room at all between two looks at the disk: LevelDB itself hits the end.
  await disk.leave(0);
  for (let value = 2; value <= 40; value += 1) publish(value);
  await untilState(full, "storage-full");
  const before = acknowledged;
  const shown = (await site.call("GET", `${THING}/properties/v`)) as { v: [number] };
  t.ok(shown.v[0] >= before, "what was acknowledged is shown");
  disk.free();
  await Promise.all(publishes);
  t.equal(acknowledged, 40, "everything was acknowledged in the end");
  const page = (await site.call("GET", `${THING}/properties-history?limit=100`)) as {
    data: { properties: { v: [number] } }[];
  };
  t.same(
    page.data.map(({ properties }) => properties.v[0]),
    Array.from({ length: 40 }, (_, index) => 40 - index),
    "each once, in its order",
  );
  await client.endAsync(true);
});
