import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connectAsync, type MqttClient } from "mqtt";
import { generate, type IConnectPacket } from "mqtt-packet";
import { test, type Test } from "tap";
import { ERRORS } from "../../src/errors.ts";
import { LIMITS } from "../../src/limits.ts";
import * as topics from "../../src/thing/topics.ts";
import { fencedBlocks, outputPattern, sectionOf, tableRows } from "../documents.ts";
import { openSite, type Site } from "../site.ts";

const DOCUMENT = "docs/mqtt-api.md";
const PUBLISHED = tableRows(DOCUMENT, ["topic", "who", "payload", "effect"]);
const SUBSCRIBED = tableRows(DOCUMENT, ["topic", "what", "payload", "retained"]);

/** The first cells, without their backticks. */
const firstOf = (rows: readonly (readonly string[])[]): readonly string[] =>
  rows.map(([cell = ""]) => cell.replaceAll("`", ""));

const unique = (items: readonly string[]): readonly string[] => [...new Set(items)].sort();

/** Every topic the code can spell, with placeholders for names. */
/** Said upstream only: they stand in docs/uplink.md. */
const UPSTREAM_ONLY: readonly string[] = ["gatewayStatusTopic", "gapsTopic"];

function spelledTopics(): readonly string[] {
  const thing: topics.NamedThing = { account: "{account}", id: "{thing}" };
  return Object.entries(topics)
    .filter(([name]) => name.endsWith("Topic") && !name.startsWith("parse"))
    .filter(([name]) => !UPSTREAM_ONLY.includes(name))
    .map(([name, build]) => {
      const [, affordance = ""] = /^(property|action|event)(?=[A-Z])/.exec(name) ?? [];
      return (build as (of: topics.NamedThing, affordance: string) => string)(
        thing,
        `{${affordance}}`,
      );
    });
}

await test("the topic tables have each topic that the code spells, and no other", (t) => {
  t.same(unique(firstOf([...PUBLISHED, ...SUBSCRIBED])), unique(spelledTopics()));
  t.end();
});

await test("the topic tables have each kind of topic that the code reads", (t) => {
  const inbound: Record<topics.InboundTopic["kind"], true> = {
    ...{ property: true, properties: true, action: true, event: true },
    ...{ description: true, data: true },
  };
  const status: Record<topics.StatusTopic["kind"], true> = {
    ...{ property: true, action: true, event: true, description: true, errors: true, data: true },
    connection: true,
  };
  const example = (topic: string): string => topic.replaceAll(/[{}]/g, "");
  const kinds = (rows: typeof PUBLISHED, parse: (topic: string) => { kind: string } | undefined) =>
    unique(firstOf(rows).map((topic) => parse(example(topic))?.kind ?? `not read: ${topic}`));
  t.same(kinds(PUBLISHED, topics.parseInboundTopic), Object.keys(inbound).sort());
  t.same(kinds(SUBSCRIBED, topics.parseStatusTopic), Object.keys(status).sort());
  t.end();
});

await test("the table of codes has each that a publish can cause, and no other", (t) => {
  const rows = tableRows(DOCUMENT, ["code", "MQTT", "when"]);
  const expected = Object.entries(ERRORS)
    .filter(([, { mqtt }]) => mqtt !== "none")
    .map(([code, { mqtt }]) => `\`${code}\` ${mqtt}`);
  t.same(rows.map(([code, mqtt]) => `${code ?? ""} ${mqtt ?? ""}`).sort(), expected.sort());
  t.end();
});

await test("the table of limits says the defaults", (t) => {
  const rows = tableRows(DOCUMENT, ["limit", "default", "beyond it"]);
  t.ok(rows.length > 10, "the table was found");
  const defaults = new Map(
    Object.entries(LIMITS).map(([name, row]) => [`\`limits.${name}\``, String(row.default)]),
  );
  for (const [name = "", given] of rows) t.equal(given, defaults.get(name), name);
  t.end();
});

/** The return code of a CONNACK. */
async function connackOf(t: Test, site: Site, packet: Partial<IConnectPacket>): Promise<number> {
  const socket = connectTcp(site.mqttPort, "127.0.0.1");
  t.teardown(() => socket.destroy());
  const protocol = { cmd: "connect", protocolId: "MQTT", protocolVersion: 4 } as const;
  const common = { ...protocol, clientId: "probe", clean: true, keepalive: 60 };
  socket.write(generate({ ...common, ...packet }));
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (answer[0] !== 0x20) throw new Error(`no CONNACK: ${answer.toString("hex")}`);
  return answer[3] ?? -1;
}

await test("each return code of the table is given for its reason, and there is no other", async (t) => {
  const site = await openSite(t, { SLUICE_LIMITS__SESSIONS: "1" });
  await site.call("PUT", "/site/things/boiler", {});
  const resources = [{ entity: "things", id: ["boiler"] }];
  const as = async (user: string) => {
    const { username, password } = await site.makeCredential(user, resources);
    return { username, password: Buffer.from(password) };
  };
  const [own, other] = [await as("own"), await as("other")];
  const persistent = { ...own, clean: false };
  const will = { topic: "status/site/things/boiler", payload: Buffer.from("{}"), qos: 1 } as const;
  const cases: readonly (readonly [code: number, packet: Partial<IConnectPacket>])[] = [
    [0, { ...persistent, clientId: "kept" }],
    [1, { ...own, protocolVersion: 5 }],
    [2, { ...other, clientId: "kept" }],
    [2, { ...own, clientId: "i".repeat(257) }],
    [3, { ...persistent, clientId: "one too many" }],
    [4, { ...own, password: Buffer.from("wrong") }],
    [5, {}],
    [5, { ...own, will: { ...will, retain: false } }],
  ];
  for (const [code, packet] of cases) {
    t.equal(await connackOf(t, site, packet), code, JSON.stringify(packet).slice(0, 80));
  }
  const documented = firstOf(tableRows(DOCUMENT, ["return code", "reason"]));
  t.same(documented, unique(cases.map(([code]) => String(code))));
});

/** What a client receives, in its order. */
class Inbox {
  readonly #messages: string[] = [];
  #arrived: () => void = () => undefined;

  constructor(client: MqttClient) {
    client.on("message", (topic, payload) => {
      this.#messages.push(`${topic} ${payload.toString()}`);
      this.#arrived();
    });
  }

  /** Waits for it; that it never comes ends the test by its time limit. */
  async next(): Promise<string> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }
}

type Stage = { readonly site: Site; readonly client: MqttClient; readonly inbox: Inbox };

/** A gateway with the Thing of the document, and its device listening. */
async function openStage(t: Test): Promise<Stage> {
  const site = await openSite(t);
  const json = fencedBlocks(sectionOf(DOCUMENT, "Properties")).find((b) => b.language === "json");
  await site.call("PUT", "/site/things/boiler", JSON.parse(json?.text ?? ""));
  const { username, password } = await site.makeCredential("device");
  const client = await connectAsync({
    ...{ host: "127.0.0.1", port: site.mqttPort, username, password, clientId: "device" },
    reconnectPeriod: 0,
  });
  t.teardown(async () => client.endAsync(true));
  const inbox = new Inbox(client);
  await client.subscribeAsync(["status/site/things/boiler/#", "site/data/boiler"], { qos: 1 });
  return { site, client, inbox };
}

/** Plays one exchange; `{href}` stands for the href that was received last. */
async function play(t: Test, { site, client, inbox }: Stage, exchange: string): Promise<void> {
  let href = "{href}";
  for (const line of exchange.trimEnd().split("\n")) {
    const [, arrow, rest = ""] = /^([→←⇒]) (.*)$/.exec(line) ?? [];
    const [, first = "", second = ""] = /^(\S+) (.*)$/.exec(rest.replaceAll("{href}", href)) ?? [];
    if (arrow === "→") await client.publishAsync(first, second, { qos: 1 });
    else if (arrow === "⇒") {
      const [path = "", body = ""] = second.split(/ (.*)/);
      await site.call(first, path, JSON.parse(body));
    } else {
      const message = await inbox.next();
      href = /"href":"([^"]+)"/.exec(message)?.[1] ?? href;
      t.match(message, outputPattern(rest.replaceAll("{href}", href)), line);
    }
  }
  // Messages come in order: had there been more, one would come before this.
  await client.publishAsync("site/data/boiler", '{"end":true}', { qos: 1 });
  t.equal(await inbox.next(), 'site/data/boiler {"end":true}', "nothing else was received");
}

await test("each exchange in the document happens as it is written", async (t) => {
  const stage = await openStage(t);
  const sections = ["Properties", "Events", "Actions, as the device sees them", "Raw data"];
  for (const heading of [...sections, "Things by MQTT", "Refusals"]) {
    const exchanges = fencedBlocks(sectionOf(DOCUMENT, heading)).filter(
      ({ language }) => language === "mqtt",
    );
    t.ok(exchanges.length > 0, heading);
    for (const { text } of exchanges) await play(t, stage, text);
  }
});

await test("each status of a report becomes what the table says", async (t) => {
  const { client, inbox } = await openStage(t);
  const rows = tableRows(DOCUMENT, ["`status` in a report", "means", "becomes"]);
  t.equal(rows.length, 5);
  for (const [statuses = "", , becomes = ""] of rows) {
    const isFinal = becomes.endsWith(", final");
    const [, expected = ""] = /^`(\w+)`/.exec(becomes) ?? [];
    for (const [, status = ""] of statuses.matchAll(/`(\w+)`/g)) {
      const topic = "set/site/things/boiler/actions/purge";
      await client.publishAsync(topic, '{"purge":{"input":{}}}', { qos: 1 });
      const href = /"href":"([^"]+)"/.exec(await inbox.next())?.[1];
      const output = status === "completed" ? { output: 1 } : {};
      const report = JSON.stringify({ purge: { href, status, ...output } });
      await client.publishAsync(topic, report, { qos: 1 });
      t.match(await inbox.next(), new RegExp(`"status":"${expected}"`), status);
      await client.publishAsync(topic, report, { qos: 1 });
      t.match(await inbox.next(), isFinal ? '"action-finished"' : `"status":"${expected}"`);
    }
  }
});
