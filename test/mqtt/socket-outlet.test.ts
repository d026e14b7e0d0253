import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { parser, type Packet } from "mqtt-packet";
import { test, type Test } from "tap";
import { systemClock } from "../../src/clock.ts";
import { ACK } from "../../src/mqtt/answers.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { SocketOutlet } from "../../src/mqtt/socket-outlet.ts";

/** Two ends of a connection: one that an outlet writes to, and what the other one reads. */
async function openPair(t: Test): Promise<{ socket: Socket; reader: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const reader = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  t.teardown(() => {
    socket.destroy();
    reader.destroy();
    server.close();
  });
  return { socket, reader };
}

function message(payload: Buffer): Message {
  return { topic: "a/ü", payload, qos: 1, retain: false, isState: false, request: undefined };
}

await test("packets of every size leave whole and in order, those of one turn in one write", async (t) => {
  const { socket, reader } = await openPair(t);
  let writes = 0;
  const write = socket.write.bind(socket);
  socket.write = (bytes: Buffer) => {
    writes += 1;
    return write(bytes);
  };
  const outlet = new SocketOutlet(socket, systemClock(), () => t.fail("it reads"));
  const packets: Packet[] = [];
  const reading = parser({ protocolVersion: 4 });
  reading.on("packet", (packet) => packets.push(packet));
  reader.on("data", (chunk) => reading.parse(chunk));

  for (let packetId = 1; packetId <= 10; packetId += 1) outlet.sendAck(ACK.puback, packetId);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  t.equal(writes, 1);

  const sizes = [0, 1, 100, 5_000, 16_383, 16_384, 16_385, 200_000, 7, 30_000, 3];
  for (const [index, size] of sizes.entries()) {
    const packetId = 100 + index;
    outlet.sendAck(ACK.pubcomp, packetId);
    outlet.sendPublish(message(Buffer.alloc(size, index)), { qos: 1, packetId, dup: false });
    outlet.send(Buffer.of(ACK.pubrec, 2, 0, index + 1));
  }
  outlet.end();
  await once(reader, "end");
  t.match(
    packets.slice(0, 10),
    Array.from({ length: 10 }, (_, index) => ({ messageId: index + 1 })),
  );
  t.match(
    packets.slice(10),
    sizes.flatMap((size, index) => [
      { cmd: "pubcomp", messageId: 100 + index },
      { cmd: "publish", messageId: 100 + index, topic: "a/ü", payload: Buffer.alloc(size, index) },
      { cmd: "pubrec", messageId: index + 1 },
    ]),
  );
  t.equal(packets.length, 10 + 3 * sizes.length);
});

await test("what waits in the outlet counts for whoever asks whether the reader is too slow", async (t) => {
  const { socket } = await openPair(t);
  const outlet = new SocketOutlet(socket, systemClock(), () => undefined);
  socket.cork();
  t.equal(outlet.isClogged(), false);
  for (let sent = 0; sent < 80; sent += 1) {
    outlet.sendPublish(message(Buffer.alloc(16_000)), { qos: 0, packetId: 0, dup: false });
  }
  t.equal(outlet.isClogged(), true);
});
