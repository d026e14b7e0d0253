import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { connectAsync } from "mqtt";
import { test, type Test } from "tap";
import { openSite, type Site } from "../site.ts";
import { needs, needsModule, outputOf, PYTHON, runUntil } from "./programs.ts";
import { modulesOf } from "./qr-modules.ts";

/** Names, a user and a password that mean something in every language there is a card for. */
const NAMES = [
  `it's "quoted" \\n $HOME \`id\` ??! %s%n`,
  "Größe 温度 🌡",
  "$(exit 7)'; exit 7; '",
  "\\",
  "-t",
] as const;
const PASSWORD = `-p'a"s\\s $HOME \`id\` ??! %s\n\twörd`;
const CLIENT_ID = `-i'd "$HOME" \\ 温度`;

/** Where the card leads: the plain port, or that with TLS and a CA that only the card has. */
const WAYS: readonly Way[] = [
  { name: "plain", isTls: false, env: {}, names: NAMES },
  {
    name: "TLS",
    isTls: true,
    env: { SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" },
    names: NAMES.slice(0, 1),
  },
];

type Way = {
  readonly name: string;
  readonly isTls: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly names: readonly string[];
};

type Made = {
  /** With its password; its example is what is published. */
  readonly card: string;
  /** Without. */
  readonly later: string;
  readonly example: { readonly topic: string; readonly payload: string };
  readonly tls: boolean;
  readonly thing: string;
  readonly name: string;
};

/** A Thing with one property, a credential of its own, and its card. */
async function make(site: Site, format: string, name: string, n: number): Promise<Made> {
  const thing = `${format}-${n}`;
  await site.call("PUT", `/site/things/${thing}`, { properties: { [name]: { type: "number" } } });
  const made = await site.call("POST", `/site/mqtt?card=${format}`, {
    resources: [{ entity: "things", id: [thing] }],
    user: `-u.${format}@${n}`,
    password: PASSWORD,
    ...(n % 2 === 0 ? {} : { client_id: CLIENT_ID + thing }),
  });
  const { card, ulid } = made as { card: string; ulid: string };
  const shown = await site.call("GET", `/site/mqtt/${ulid}/card`);
  const answer = await fetch(`${site.url}/site/mqtt/${ulid}/card?format=${format}`, {
    headers: { authorization: `Bearer ${site.admin}` },
  });
  const { example, tls } = shown as Pick<Made, "example" | "tls">;
  return { card, later: await answer.text(), example, tls, thing, name };
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "sluice-card-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

async function valueOf(site: Site, { thing, name }: Made): Promise<unknown> {
  const path = `/site/things/${thing}/properties/${encodeURIComponent(name)}`;
  return ((await site.call("GET", path)) as Record<string, unknown>)[name];
}

/** With every name, and with its password as well as without: it publishes, and hears what it published. */
async function cardRuns(
  t: Test,
  format: string,
  run: (path: string, card: string, wanted: string, env: NodeJS.ProcessEnv) => Promise<unknown>,
): Promise<void> {
  for (const { env, isTls, names, ...way } of WAYS) {
    const site = await openSite(t, env);
    const path = folder(t);
    for (const [n, name] of names.entries()) {
      const made = await make(site, format, name, n);
      t.equal(made.tls, isTls);
      const status = made.example.topic.replace("set/", "status/");
      const wanted = `${status} ${made.example.payload}`;
      await run(path, made.card, wanted, {});
      t.equal(await valueOf(site, made), 21, `${format}, ${way.name}: ${name}`);
      await site.call("PUT", `/site/things/${made.thing}/properties`, { [name]: 0 });
      t.notMatch(made.later, "wörd");
      await run(path, made.later, wanted, { MQTT_PASSWORD: PASSWORD });
      t.equal(await valueOf(site, made), 21, `${format}, ${way.name}, no password: ${name}`);
    }
  }
}

await test(
  "the variables are read by a shell, and are right for mosquitto_pub",
  needs("sh", "mosquitto_pub"),
  async (t) => {
    await cardRuns(t, "env", async (path, card, _wanted, env) => {
      writeFileSync(join(path, "card.env"), card);
      const id = '${MQTT_CLIENT_ID:+-i "$MQTT_CLIENT_ID"}';
      const script = `set -e
. ./card.env
printf '%s\\n' "\${MQTT_CA-}" > ca.crt
set -- -h "$MQTT_HOST" -p "$MQTT_PORT" -u "$MQTT_USER" -P "$MQTT_PASSWORD" ${id}
[ "$MQTT_TLS" = 0 ] || set -- "$@" --cafile ca.crt
mosquitto_pub "$@" -q 1 -t "$MQTT_TOPIC" -m "$MQTT_PAYLOAD"
`;
      return Promise.resolve(outputOf(t, ["sh"], { cwd: path, env, input: script }));
    });
  },
);

await test(
  "the script for mosquitto's clients runs as it is",
  needs("sh", "mosquitto_pub", "mosquitto_sub"),
  async (t) => {
    await cardRuns(t, "mosquitto", async (path, card, wanted, env) => {
      writeFileSync(join(path, "card.sh"), card);
      return runUntil(["sh", "-e", "card.sh"], wanted, { cwd: path, env });
    });
  },
);

await test("the program for Python runs as it is", needsModule("paho.mqtt.client"), async (t) => {
  await cardRuns(t, "python", async (path, card, wanted, env) => {
    writeFileSync(join(path, "card.py"), card);
    return runUntil([PYTHON, "card.py"], wanted, { cwd: path, env });
  });
});

await test("the program for MicroPython runs as it is", needs("python3"), async (t) => {
  await cardRuns(t, "micropython", async (path, card, wanted, env) => {
    writeFileSync(join(path, "card.py"), card);
    const secret = Buffer.from(PASSWORD).toString("hex");
    const secrets = `MQTT_PASSWORD = bytes.fromhex("${secret}")\n`;
    writeFileSync(join(path, "sluice_secrets.py"), secrets);
    const PYTHONPATH = resolve("test/card/stubs");
    return runUntil([PYTHON, "-u", "card.py"], wanted, { cwd: path, env: { ...env, PYTHONPATH } });
  });
});

await test(
  "a QR code leads a device to the CA that has its fingerprint, and in over TLS",
  needsModule("zbar"),
  async (t) => {
    const site = await openSite(t, { SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" });
    await site.call("PUT", "/site/things/pump", { properties: { speed: { type: "number" } } });
    const resources = [{ entity: "things", id: ["pump"] }];
    const made = (await site.call("POST", "/site/mqtt?card=qr", { resources })) as { card: string };
    const said = outputOf(t, [PYTHON, resolve("test/card/read-qr.py")], {
      input: modulesOf(made.card),
    });
    const { mqtt, ca, ca_sha256, user, password } = JSON.parse(said) as Record<string, string>;
    const pem = outputOf(t, ["curl", "-sSk", ca ?? ""]);
    const certificate = new X509Certificate(pem);
    t.equal(certificate.fingerprint256.replaceAll(":", "").toLowerCase(), ca_sha256);
    t.match(mqtt, /^mqtts:/);
    const client = await connectAsync(mqtt ?? "", {
      ...{ username: user ?? "", password: password ?? "", ca: pem },
      reconnectPeriod: 0,
    });
    await client.publishAsync("set/site/things/pump/properties/speed", '{"speed":7}', { qos: 1 });
    await client.endAsync();
    t.same(await site.call("GET", "/site/things/pump/properties"), { speed: 7 });
  },
);
