import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HTTP_PROPERTY, HTTP_VALUE } from "./http-answer.ts";

const server = createServer((_, response) => {
  // Built for each request, as an answer is.
  const body = JSON.stringify({ [HTTP_PROPERTY]: HTTP_VALUE });
  response.writeHead(200, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(`port ${(server.address() as AddressInfo).port}`);
