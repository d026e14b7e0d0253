import { pbkdf2Sync } from "node:crypto";
import { join } from "node:path";
import { test, type Test } from "tap";
import { InboundSession } from "../../src/uplink/line-inbound.ts";
import { MessageFailure } from "../../src/uplink/line-failure.ts";
import type { UpMessage } from "../../src/uplink/message.ts";
import { needs } from "../systemd/programs.ts";
import { mosquittoPub } from "../wire/mosquitto.ts";
import { startMosquitto } from "./brokers.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { connectLine, failureOf, lineSettings } from "./line-site.ts";

// One line, against Debian's mosquitto.

const MOSQUITTO = needs("mosquitto");

/** As mosquitto_passwd writes it: $7$iterations$salt$PBKDF2-HMAC-SHA512. */
function passwordLine(user: string, password: string): string {
  const salt = Buffer.from("twelve bytes");
  const hash = pbkdf2Sync(password, salt, 101, 64, "sha512");
  return `${user}:$7$101$${salt.toString("base64")}$${hash.toString("base64")}\n`;
}

const message = (topic: string, payload: string, more: Partial<UpMessage> = {}): UpMessage => ({
  topic,
  payload: Buffer.from(payload),
  retain: false,
  ...more,
});

for (const protocol of [4, 5] as const) {
  await test(
    `MQTT ${protocol}: what is published comes to who subscribed`,
    MOSQUITTO,
    async (t) => {
      const { port } = await startMosquitto(t);
      const url = `mqtt://127.0.0.1:${port}`;
      const ear = await connectLine(t, lineSettings(url, { protocol }));
      await ear.line.subscribe([{ filter: "a/#", qos: 2 }]);
      const mouth = await connectLine(t, lineSettings(url, { protocol }));
      const properties = {
        userProperties: { id: "01J", seq: "7", "mit Umlaut": "ö" },
        contentType: "application/json",
        messageExpiryS: 60,
        isText: true,
        responseTopic: "a/answer",
        correlationData: Buffer.from([1, 2, 3]),
      };
      await mouth.line.publish(message("a/ö", "eins", { properties }));
      const came = await ear.next("the message");
      came.acknowledge();
      const { topic, payload, qos, retain, properties: got } = came;
      t.same([topic, payload.toString(), qos, retain], ["a/ö", "eins", 1, false]);
      t.same(got, protocol === 5 ? properties : {});
      await ear.line.unsubscribe(["a/#"]);
      await mouth.line.publish(message("a/b", "zwei"));
      await ear.line.subscribe([{ filter: "b", qos: 1 }]);
      await mouth.line.publish(message("b", "drei"));
      t.equal((await ear.next("the next message")).payload.toString(), "drei");
    },
  );
}

await test("a thousand messages in the window arrive in their order", MOSQUITTO, async (t) => {
  const { port } = await startMosquitto(t, (port) => [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "max_queued_messages 0",
  ]);
  const url = `mqtt://127.0.0.1:${port}`;
  const ear = await connectLine(t, lineSettings(url, { protocol: 4 }));
  await ear.line.subscribe([{ filter: "n", qos: 1 }]);
  const mouth = await connectLine(t, lineSettings(url, { protocol: 4 }));
  const all = Array.from({ length: 1_000 }, (_, nth) => String(nth));
  const sent = all.map(async (text) => mouth.line.publish(message("n", text)));
  t.equal(mouth.line.inFlight.count, 1_000);
  await Promise.all(sent);
  t.same(mouth.line.inFlight, { count: 0, bytes: 0 });
  const came: string[] = [];
  while (came.length < all.length) {
    const one = await ear.next("a message");
    one.acknowledge();
    came.push(one.payload.toString());
  }
  t.same(came, all);
});

await test(
  "a broker's bounds are known, and a message beyond them is not sent",
  MOSQUITTO,
  async (t) => {
    const { port } = await startMosquitto(t, (port) => [
      "max_packet_size 1000",
      "max_inflight_messages 7",
      "retain_available false",
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
    ]);
    const { line } = await connectLine(t, lineSettings(`mqtt://127.0.0.1:${port}`));
    t.match(line, { packetBytesMax: 1_000, receiveMax: 7, retainAvailable: false, qosMax: 2 });
    await t.rejects(line.publish(message("a", "x".repeat(1_000))), {
      name: "MessageFailure",
      code: undefined,
      message: /1009 bytes; the broker takes 1000/,
    });
    // It would be a reason to disconnect us: MQTT 5 §3.2.2.3.5.
    await line.publish(message("a", "kept", { retain: true }));
    t.equal(line.inFlight.count, 0);
  },
);

await test(
  "a topic without the right to it is refused, and the line stands",
  MOSQUITTO,
  async (t) => {
    const { port } = await startMosquitto(t, (port, folder) => {
      t.testdir({ acl: "topic write allowed/#\ntopic read allowed/#\n" });
      return [
        `listener ${port} 127.0.0.1`,
        "allow_anonymous true",
        `acl_file ${join(t.testdirName, "acl")}`,
        `# ${folder}`,
      ];
    });
    const { line } = await connectLine(t, lineSettings(`mqtt://127.0.0.1:${port}`));
    const refused = await line.publish(message("other", "x")).catch((error: unknown) => error);
    t.ok(refused instanceof MessageFailure);
    t.match(refused, { code: 0x87, message: "the broker refused: not authorized" });
    await line.publish(message("allowed/a", "x"));
  },
);

await test("user and password open the door, others do not", MOSQUITTO, async (t) => {
  const { port } = await startMosquitto(t, (port) => {
    t.testdir({ passwords: passwordLine("me", "right") });
    return [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous false",
      `password_file ${join(t.testdirName, "passwords")}`,
    ];
  });
  const url = `mqtt://127.0.0.1:${port}`;
  for (const protocol of [4, 5] as const) {
    const login = { protocol, username: "me", password: "right" };
    await (await connectLine(t, lineSettings(url, login))).line.close();
    for (const wrong of [{ protocol, username: "me", password: "wrong" }, { protocol }]) {
      const failure = await failureOf(connectLine(t, lineSettings(url, wrong)));
      t.equal(failure.kind, "refused");
      t.match(failure.message, /user name|not authorized|let us in/);
    }
  }
});

await test("a broker that is silent is not waited for for ever", MOSQUITTO, async (t) => {
  const { port, broker } = await startMosquitto(t);
  const url = `mqtt://127.0.0.1:${port}`;
  const busy = await connectLine(t, lineSettings(url, { stallMs: 300 }));
  const idle = await connectLine(t, lineSettings(url, { stallMs: 300, keepaliveS: 1 }));
  broker.freeze();
  const lost = busy.line.publish(message("a", "b"));
  t.match(await failureOf(lost), { kind: "stalled" });
  t.match((await busy.closed()).message, /no acknowledgement for \d+ s, of 1 messages/);
  t.match(await idle.closed(), { kind: "stalled", message: /no answer to a ping/ });
  broker.thaw();
});

await test("what was not acknowledged comes again on the next line", MOSQUITTO, async (t) => {
  const { port } = await startMosquitto(t);
  const proxy = await FaultProxy.start(t, port);
  for (const [protocol, qos] of [
    [4, 1],
    [5, 1],
    [4, 2],
    [5, 2],
  ] as const) {
    const session = new InboundSession();
    const settings = lineSettings(`mqtt://127.0.0.1:${proxy.port}`, { protocol });
    const first = await connectLine(t, settings, session);
    const topic = `again/${protocol}/${qos}`;
    await first.line.subscribe([{ filter: topic, qos }]);
    const mouth = await connectLine(t, lineSettings(`mqtt://127.0.0.1:${port}`, { protocol: 4 }));
    await publishAt(port, t, topic, "command", qos);
    await mouth.line.close();
    const came = await first.next("the message");
    proxy.reset();
    t.equal((await first.closed()).kind, "closed");
    const second = await connectLine(t, settings, session);
    t.equal(second.line.sessionPresent, true);
    if (qos === 1) {
      const again = await second.next("the message again");
      t.same([again.payload.toString(), again.dup], ["command", true]);
      again.acknowledge();
    } else {
      // At QoS 2 the first delivery stands: it is acknowledged late, on the line there is now.
      came.acknowledge();
    }
    await publishAt(port, t, topic, "end", qos);
    const end = await second.next("the next message");
    t.equal(end.payload.toString(), "end", `MQTT ${protocol}, QoS ${qos}: nothing comes twice`);
    end.acknowledge();
    // The broker answers in order: once it has this one, it has released what came before.
    await second.line.publish(message("done", ""));
    t.equal(session.unreleased.size, 0, "every id is released");
    await second.line.close();
  }
});

/** By another client: the uplink itself publishes at QoS 1 only. */
async function publishAt(
  port: number,
  t: Test,
  topic: string,
  payload: string,
  qos: 1 | 2,
): Promise<void> {
  const ended = await mosquittoPub(t, { mqttPort: port }, undefined, [
    ...["-t", topic, "-m", payload, "-q", String(qos)],
  ]);
  if (ended.code !== 0) throw new Error(ended.stderr);
}

await test(
  "a line that is taken leave of leaves no will, one that breaks does",
  MOSQUITTO,
  async (t) => {
    const { port } = await startMosquitto(t);
    const proxy = await FaultProxy.start(t, port);
    const ear = await connectLine(t, lineSettings(`mqtt://127.0.0.1:${port}`));
    await ear.line.subscribe([{ filter: "will", qos: 1 }]);
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 1, retain: false } as const;
    const settings = lineSettings(`mqtt://127.0.0.1:${proxy.port}`, { will, sessionExpiryS: 0 });
    const first = await connectLine(t, settings);
    await first.line.close();
    t.equal((await first.closed()).kind, "ended");
    await ear.line.publish(message("will", "nothing came"));
    const came = await ear.next("a message");
    came.acknowledge();
    t.equal(came.payload.toString(), "nothing came");
    await connectLine(t, settings);
    proxy.reset();
    t.equal((await ear.next("the will")).payload.toString(), "gone");
  },
);
