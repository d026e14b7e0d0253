import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

type CardJson = {
  readonly card: Record<string, unknown>;
  readonly ulid: string;
  readonly password: string;
};

await test("a card is made with a credential and with a new password, and read without", async (t) => {
  const { call, token } = await startGateway(t, { deps: { mqttPort: 1883 } });
  await call("PUT", "/A/things/boiler", { json: BOILER });
  const json = { resources: [{ entity: "things", id: ["boiler"] }] };
  const wrong = await call("POST", "/A/mqtt?card=pdf", { json });
  t.equal(wrong.json.code, "invalid-parameter");
  t.same((await call("GET", "/A/mqtt")).json.data, [], "nothing was made");

  const made = JSON.parse((await call("POST", "/A/mqtt?card=json", { json })).text) as CardJson;
  t.match(made.card, { password: made.password, tls: false, port: 1883, ca: null });
  t.same(made.card["example"], {
    topic: "set/A/things/boiler/properties/temperature",
    payload: '{"temperature":21}',
  });
  const path = `/A/mqtt/${made.ulid}`;
  const renewed = await call("PATCH", `${path}?card=env`, { json: { password: "" } });
  const { card, password } = JSON.parse(renewed.text) as { card: string; password: string };
  t.match(card, `MQTT_PASSWORD='${password}'\n`);

  const shown = await call("GET", `${path}/card`);
  t.same(JSON.parse(shown.text), {
    ...made.card,
    password: null,
    notes: [
      ...(made.card["notes"] as string[]),
      "The password was shown once, in the answer that made it, and is stored nowhere.",
      `PATCH ${path} {"password": ""} makes another.`,
    ],
  });
  for (const [format, type] of [
    ["env", "text/plain; charset=utf-8"],
    ["qr", "image/svg+xml"],
  ] as const) {
    const reply = await call("GET", `${path}/card?format=${format}`);
    t.equal(reply.headers.get("content-type"), type);
    t.equal(reply.headers.get("cache-control"), "no-store");
    t.notMatch(reply.text, password);
  }
  const small = token(["thing.read"], "A");
  t.equal((await call("GET", `${path}/card`, { token: small })).status, 403);
  t.equal((await call("GET", "/A/mqtt/01J00000000000000000000000/card")).status, 404);
});

await test("a consumer's card writes what a consumer may, and a card with TLS leads there", async (t) => {
  const caPem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const tls = { mqttPort: 1883, mqttsPort: 8883, httpsPort: 8443, caPem };
  const { call } = await startGateway(t, { deps: tls });
  await call("PUT", "/A/things/boiler", { json: BOILER });
  const json = { resources: [{ entity: "things", id: ["*"], role: "consumer" }] };
  const made = JSON.parse((await call("POST", "/A/mqtt?card=json", { json })).text) as CardJson;
  t.match(made.card, {
    host: "127.0.0.1",
    mqtt_url: "mqtts://127.0.0.1:8883",
    http_url: "https://127.0.0.1:8443",
    ca: caPem,
    example: { topic: "set/A/things/boiler/properties/target", payload: '{"target":21}' },
  });
});
