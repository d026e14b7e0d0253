import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import { WebSocket } from "ws";
import { FIXED_LIMITS } from "../../src/limits.ts";
import {
  fetchCa,
  makeCertificate,
  makeCredential,
  startBox,
  told,
  WITH_TLS,
  type Box,
} from "./box.ts";

/** A WebSocket on which nothing was said; gone with the test. */
async function stranger(t: Test, { httpPort }: Box): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${httpPort}/mqtt`, "mqtt");
  socket.on("error", () => undefined);
  t.teardown(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, "close")) as [number];
  return code;
}

async function heard(client: MqttClient, event: "connect" | "close" | "error"): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once(event, () => resolve());
    if (event === "connect") client.once("close", () => reject(new Error("it was refused")));
  });
}

/** RFC 6455 §5.2, of a client: a mask of zeros leaves the bytes as they are. */
function frameHead(kind: number, length: number): Buffer {
  const head = Buffer.alloc(14);
  head[0] = kind;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

const handshake = (port: number, more: string): string =>
  `GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;

await test("who resets the connection in the handshake of a WebSocket ends nothing but it", async (t) => {
  const { httpPort, call } = await startBox(t);
  for (let round = 0; round < 60; round += 1) {
    const socket = connect(httpPort, "127.0.0.1").on("error", () => undefined);
    await once(socket, "connect");
    const protocol = round % 2 === 0 ? "" : "Sec-WebSocket-Protocol: mqtt\r\n";
    socket.write(handshake(httpPort, protocol));
    // Sometimes before it is read, sometimes while it is answered.
    setTimeout(() => socket.resetAndDestroy(), round % 5);
    await once(socket, "close");
  }
  t.equal((await call("GET", "/healthz")).status, 200, "it lives");
});

await test("a stranger's message has a bound of bytes and of frames, and one beyond is told of", async (t) => {
  const box = await startBox(t, { SLUICE_LIMITS__PACKET_BYTES: "2048" });
  const most = 2048 + 65_536;
  const large = await stranger(t, box);
  large.send(Buffer.alloc(most + 1));
  t.equal(await closeCode(large), 1009);
  await told(t, box, { cause: "limits", protocol: "mqtt", detail: /Max payload/ });

  const pieces = await stranger(t, box);
  for (let sent = 0; sent <= FIXED_LIMITS.webSocketFragmentsMax; sent += 1) {
    pieces.send(Buffer.of(0x10), { fin: false });
  }
  t.equal(await closeCode(pieces), 1008);
  await told(t, box, { cause: "limits", detail: /too many message fragments/i });

  const text = await stranger(t, box);
  text.send("hello");
  t.equal(await closeCode(text), 1003);
  await told(t, box, { cause: "bad-protocol", protocol: "mqtt", detail: /binary/ });
});

await test("a frame that comes byte by byte is not waited for for ever", async (t) => {
  const box = await startBox(t, WITH_TLS);
  const secured = connectTls({
    ...{ host: "127.0.0.1", port: box.httpsPort, rejectUnauthorized: false },
  });
  t.teardown(() => secured.destroy());
  await once(secured, "secureConnect");
  secured.write(handshake(box.httpsPort, "Sec-WebSocket-Protocol: mqtt\r\n"));
  await once(secured, "data");
  const answered: Buffer[] = [];
  secured.on("data", (chunk: Buffer) => answered.push(chunk));
  secured.on("error", () => undefined);
  const gone = once(secured, "close");
  secured.write(frameHead(0x82, 200_000));
  // One record of TLS each, so that each is a read of its own.
  for (let sent = 0; sent < 2 * FIXED_LIMITS.webSocketChunksMax && secured.writable; sent += 1) {
    await new Promise<void>((resolve) => secured.write(Buffer.of(0), () => resolve()));
  }
  await gone;
  t.equal(Buffer.concat(answered).subarray(2, 4).readUInt16BE(), 1008);
  await told(t, box, { cause: "limits", protocol: "mqtts", detail: /too many buffered chunks/i });
});

await test("over wss a certificate logs in, as over MQTT, and is asked for at each CONNECT", async (t) => {
  const box = await startBox(t, WITH_TLS);
  const path = await makeCredential(box, "pump");
  const { cert, key, path: certificate } = await makeCertificate(t, box, path);
  const ca = readFileSync(await fetchCa(t, box));
  const dial = (options: IClientOptions): MqttClient => {
    const url = `wss://localhost:${box.httpsPort}/mqtt`;
    const client = mqtt.connect(url, { ca, cert, key, reconnectPeriod: 0, ...options });
    client.on("error", () => undefined);
    t.teardown(() => client.end(true));
    return client;
  };
  const client = dial({ clientId: "pump-1" });
  await heard(client, "connect");
  await client.publishAsync("set/site/things/boiler/properties/target", '{"target":21}', {
    qos: 1,
  });
  const read = await box.call("GET", "/site/things/boiler/properties/target");
  t.same(await read.json(), { target: 21 }, "it has the rights of its credential");

  await heard(dial({ clientId: "pump-2", username: "other" }), "error");
  await told(t, box, { cause: "other-user", protocol: "mqtts" }, "?client=pump-2");
  const ended = heard(client, "close");
  t.equal((await box.call("DELETE", certificate)).status, 204);
  await ended;
  t.notOk(client.connected, "revoked, its connection ends");
  await heard(dial({ clientId: "pump-3" }), "error");
  await told(t, box, { cause: "revoked-certificate", protocol: "mqtts" }, "?client=pump-3");
});
