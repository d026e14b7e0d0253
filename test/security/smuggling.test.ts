import { test } from "tap";
import { BOILER, startGateway } from "../http/harness.ts";
import { RawSocket } from "../http/raw-socket.ts";

// A proxy in front and the gateway must never disagree on where a request ends (RFC 9112 §11.2): what
// can be read in two ways is refused, the connection closed, and nothing behind it is carried out.

const HOST = "Host: x\r\n";

/** Heads of a POST that can be read in two ways; what follows the head is the same for all. */
const AMBIGUOUS: readonly (readonly [what: string, head: string])[] = [
  ["both lengths", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"],
  ["both lengths, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"],
  ["two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n"],
  ["the same length twice", "Content-Length: 4\r\nContent-Length: 4\r\n"],
  ["a list of lengths", "Content-Length: 4, 4\r\n"],
  ["a length with a sign", "Content-Length: +4\r\n"],
  ["a negative length", "Content-Length: -4\r\n"],
  ["a length in base 16", "Content-Length: 0x4\r\n"],
  ["a length with a space in it", "Content-Length: 1 4\r\n"],
  ["a length beyond any", "Content-Length: 99999999999999999999\r\n"],
  ["an unknown coding", "Transfer-Encoding: xchunked\r\n"],
  ["chunked, and then another coding", "Transfer-Encoding: chunked, identity\r\n"],
  ["chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"],
  ["a tab before the coding's name ends", "Transfer-Encoding\t: chunked\r\n"],
  ["a space before the colon", "Transfer-Encoding : chunked\r\n"],
  ["a space before the colon of a length", "Content-Length : 4\r\n"],
  ["a folded line", "X: y\r\n Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n"],
  ["a NUL in a value", "X: a\0b\r\nContent-Length: 4\r\n"],
  ["a bare CR in a value", "X: a\rContent-Length: 4\r\n"],
  ["a name with a space", "X Y: z\r\n"],
  ["a line without a colon", "nonsense\r\n"],
];

const CHUNKS: readonly (readonly [what: string, chunks: string])[] = [
  ["a chunk size that is no number", "zz\r\n{}\r\n0\r\n\r\n"],
  ["a chunk size with a sign", "+2\r\n{}\r\n0\r\n\r\n"],
  ["a chunk size in C's base 16", "0x2\r\n{}\r\n0\r\n\r\n"],
  ["a chunk longer than it says", "1\r\n{}\r\n0\r\n\r\n"],
  ["a chunk size beyond any", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"],
  ["a bare LF after the chunk", "2\r\n{}\n0\r\n\r\n"],
];

await test("what can be read in two ways is refused, and nothing behind it is carried out", async (t) => {
  const { call, port, admin } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  await call("PUT", "/A/things/boiler/properties/target", { json: { target: 1 } });
  const authorization = `Authorization: Bearer ${admin}\r\n`;
  const body = '{"target":66}';
  const smuggled =
    `PUT /A/things/boiler/properties/target HTTP/1.1\r\n${HOST}${authorization}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
  const sent = [
    ...AMBIGUOUS.map(([what, head]) => [what, `${head}\r\n0\r\n\r\n`] as const),
    ...CHUNKS.map(
      ([what, chunks]) => [what, `Transfer-Encoding: chunked\r\n\r\n${chunks}`] as const,
    ),
  ];
  for (const [what, rest] of sent) {
    const socket = await RawSocket.open(port);
    socket.send(`POST /A/things HTTP/1.1\r\n${HOST}${authorization}${rest}${smuggled}`);
    const heard = await socket.closed();
    t.match(heard, /^(HTTP\/1\.1 400 |$)/, what);
    t.equal(heard.split("HTTP/1.1 ").length - 1 <= 1, true, `${what}: one answer at the most`);
  }
  const kept = await call("GET", "/A/things/boiler/properties/target");
  t.same(kept.json, { target: 1 }, "no smuggled request was carried out");
  const things = await call("GET", "/A/things");
  t.equal(things.json.data.length, 1, "and none of those that held them");
});

await test("a body is never taken for a request", async (t) => {
  const { call, port, admin } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  await call("PUT", "/A/things/boiler/properties/target", { json: { target: 1 } });
  const authorization = `Authorization: Bearer ${admin}\r\n`;
  const inner =
    `PUT /A/things/boiler/properties/target HTTP/1.1\r\n${HOST}${authorization}` +
    'Content-Length: 13\r\n\r\n{"target":66}';
  const outer: readonly string[] = [
    `GET /healthz HTTP/1.1\r\n${HOST}Content-Length: ${inner.length}\r\nConnection: close\r\n\r\n`,
    `DELETE /A/things/nobody HTTP/1.1\r\n${HOST}${authorization}Content-Length: ${inner.length}\r\nConnection: close\r\n\r\n`,
    // Refused before its body is read.
    `POST /A/things HTTP/1.1\r\n${HOST}Content-Length: ${inner.length}\r\nConnection: close\r\n\r\n`,
  ];
  for (const head of outer) {
    const socket = await RawSocket.open(port);
    socket.send(head + inner);
    t.equal((await socket.closed()).split("HTTP/1.1 ").length - 1, 1, head.slice(0, 20));
  }
  t.same((await call("GET", "/A/things/boiler/properties/target")).json, { target: 1 });
});
