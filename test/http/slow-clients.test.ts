import { test } from "tap";
import { startGateway } from "./harness.ts";
import { RawSocket } from "./raw-socket.ts";

await test("an address has so many connections at once, and costs no other any", async (t) => {
  const { port } = await startGateway(t, { limits: { connections_per_address: 3 } });
  const here = "127.0.0.5";
  const request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  const held = await Promise.all([1, 2, 3].map(async () => RawSocket.open(port, here)));
  const beyond = await RawSocket.open(port, here);
  t.equal(await beyond.closed(), "", "one too many is closed, and hears nothing");
  const other = await RawSocket.open(port, "127.0.0.6");
  other.send(request);
  await other.heard(/ 200 /);
  for (const socket of held) {
    socket.send(request);
    await socket.heard(/ 200 /);
  }
  const [first] = held;
  first?.socket.end();
  await first?.closed();
  // The end of one is the place of the next as soon as the gateway has heard of it.
  for (;;) {
    const next = await RawSocket.open(port, here);
    next.send(request);
    const heard = await Promise.race([next.heard(/ 200 /).catch(() => ""), next.closed()]);
    if (heard.includes(" 200 ")) break;
  }
  for (const socket of [...held, other]) socket.socket.destroy();
});

await test("an upgrade that is passed over costs its address no place for good", async (t) => {
  const { port } = await startGateway(t, { limits: { connections_per_address: 2 } });
  const fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n";
  // As Java's client asks each server it talks to.
  for (let n = 0; n < 5; n += 1) {
    const client = await RawSocket.open(port, "127.0.0.5");
    for (let request = 1; request <= 2; request += 1) {
      client.send(`GET /healthz HTTP/1.1\r\nHost: x\r\n${fields}\r\n`);
      await client.heard(new RegExp(`( 200 [^]*){${request}}`));
    }
    client.socket.end();
    await client.closed();
  }
});

await test("who sends his header fields a byte at a time is told so, and closed", async (t) => {
  const { port, call } = await startGateway(t);
  const slow = await RawSocket.open(port);
  slow.send("GET /healthz HTTP/1.1\r\nHost: ");
  const drip = setInterval(() => slow.send("x"), 500);
  t.teardown(() => clearInterval(drip));
  t.equal((await call("GET", "/healthz")).status, 200, "the others are served meanwhile");
  const heard = await slow.closed();
  clearInterval(drip);
  t.match(heard, /^HTTP\/1\.1 408 /);
  t.match(heard, "the request did not arrive in time");
});
