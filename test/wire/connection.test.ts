import { t as file, test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { Client } from "./client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const device = await site.makeDevice("boiler");
const panel = await site.makeCredential([{ entity: "things", id: ["boiler"], role: "consumer" }]);
const TOPIC = "status/A/things/boiler/connection";

type Connection = { readonly state: string; readonly since: string | null };

async function shown(): Promise<Connection> {
  return (await site.did("GET", "/A/things/boiler/connection")).json as Connection;
}

await test("whether a device of a Thing is connected is shown, retained and told", async (t) => {
  t.same(await shown(), { state: "offline", since: null });
  const watching = await Client.connect(t, site, panel);
  t.same(await watching.subscribe([TOPIC, "status/A/things/boiler/#"]), [1, 1]);
  const [first] = await watching.next(1);
  t.match(first, { topic: TOPIC, retain: true, text: '{"state":"offline","since":null}' });
  const boiler = await Client.connect(t, site, device);
  t.match(await shown(), { state: "online", since: /Z$/ }, "at once");
  site.clock.advance(FIXED_LIMITS.connectionLookMs);
  const [online] = await watching.next(1);
  t.match(online, { topic: TOPIC, retain: false });
  t.same(JSON.parse(online?.text ?? ""), await shown());
  await boiler.cut();
  // The gateway sees it a moment later.
  while ((await shown()).state === "online") await new Promise((resolve) => setImmediate(resolve));
  site.clock.advance(FIXED_LIMITS.connectionToldMs);
  const [offline] = await watching.next(1);
  t.match(JSON.parse(offline?.text ?? ""), { state: "offline" });
  t.match(await shown(), { state: "offline", since: /Z$/ });
});

await test("who has no grant on a Thing is not told who is there", async (t) => {
  await site.makeThing("pump", BOILER);
  const watching = await Client.connect(t, site, panel);
  const others = ["status/A/things/pump/connection", "status/A/things/+/connection"];
  t.same(await watching.subscribe(others), [0x80, 0x80]);
});
