import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { parser, type Packet } from "mqtt-packet";
import { test, type Test } from "tap";
import { systemClock } from "../../src/clock.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { ACK } from "../../src/mqtt/answers.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { SocketOutlet } from "../../src/mqtt/socket-outlet.ts";
import { SimSocket } from "../simulation/sim-socket.ts";
import { ManualClock } from "../store/manual-clock.ts";

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

const MIB = 1_048_576;

function frozen(): {
  readonly socket: SimSocket;
  readonly outlet: SocketOutlet;
  readonly frozenTimes: () => number;
} {
  const socket = new SimSocket("192.0.2.1");
  socket.isFrozen = true;
  let times = 0;
  const outlet = new SocketOutlet(socket, new ManualClock(), () => (times += 1));
  return { socket, outlet, frozenTimes: () => times };
}

await test("what waits for a reader that reads nothing is bounded: then its connection ends", (t) => {
  const { socket, outlet, frozenTimes } = frozen();
  const packet = Buffer.alloc(MIB);
  for (let sent = 0; sent < FIXED_LIMITS.outBytesMax / MIB; sent += 1) outlet.send(packet);
  t.equal(frozenTimes(), 0);
  t.equal(socket.destroyed, false);
  outlet.send(packet);
  t.equal(frozenTimes(), 1);
  t.equal(socket.destroyed, true);
  outlet.send(packet);
  t.ok(socket.writableLength <= FIXED_LIMITS.outBytesMax + MIB, "and no more is taken");
  t.end();
});

await test("it is clogged above its bound, what is gathered for this turn included, and says when it has drained", async (t) => {
  const { socket, outlet } = frozen();
  const packet = Buffer.alloc(1_000);
  let sent = 0;
  for (; sent * packet.length <= FIXED_LIMITS.cloggedBytesMax; sent += 1) {
    t.equal(outlet.isClogged(), false);
    outlet.send(packet);
  }
  t.equal(outlet.isClogged(), true);
  const drained = new Promise<void>((resolve) => outlet.onDrained(resolve));
  socket.isFrozen = false;
  await new Promise((resolve) => setImmediate(resolve));
  let arrived = 0;
  while (arrived < sent * packet.length) {
    arrived += socket.arrived().length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await drained;
  t.equal(outlet.isClogged(), false);
});
