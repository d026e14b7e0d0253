import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import fc from "fast-check";
import { test } from "tap";
import { dial } from "../src/uplink/line-dial.ts";
import { LineFailure } from "../src/uplink/line-failure.ts";
import { lookupUpstream, upstreamAddressFault } from "../src/upstream-addresses.ts";

const ADDRESSES: readonly (readonly [address: string, isAllowed: boolean])[] = [
  ["127.0.0.1", true],
  ["::1", true],
  ["10.1.2.3", true],
  ["192.168.0.10", true],
  // A cable and nothing else: zeroconf.
  ["169.254.3.4", true],
  ["fe80::1", true],
  ["100.64.0.1", true],
  ["8.8.8.8", true],
  ["2001:db8::1", true],
  ["broker.example", true],
  ["169.254.169.254", false],
  ["169.254.170.2", false],
  ["::ffff:169.254.169.254", false],
  ["::ffff:a9fe:a9fe", false],
  ["fd00:ec2::254", false],
  ["FD00:0EC2:0:0:0:0:0:254", false],
  ["100.100.100.200", false],
  ["0.0.0.0", false],
  ["0.1.2.3", false],
  ["::", false],
  ["::ffff:0.0.0.0", false],
  ["224.0.0.1", false],
  ["239.255.255.255", false],
  ["ff02::1", false],
  ["255.255.255.255", false],
  ["240.0.0.1", false],
  // Through translators and tunnels to the same, and to what is allowed: NAT64, of a site and of all.
  ["64:ff9b::a9fe:a9fe", false],
  ["64:ff9b::169.254.169.254", false],
  ["64:ff9b::8.8.8.8", true],
  ["64:ff9b::224.0.0.1", false],
  ["64:ff9b:1:a9fe:a9:fe00::", false],
  ["64:ff9b:1:ffa9:fe:a9fe::", false],
  ["64:ff9b:1:fffe:a9:fea9:fe00:0", false],
  ["64:ff9b:1:fffe::169.254.169.254", false],
  ["64:ff9b:1:fffe::10.0.0.1", true],
  ["64:ff9b:1::10.0.0.1", true],
  // SIIT, IPv4-compatible, 6to4, Teredo.
  ["::ffff:0:169.254.169.254", false],
  ["::ffff:0:10.0.0.1", true],
  ["::169.254.169.254", false],
  ["::2", true],
  ["2002:a9fe:a9fe::1", false],
  ["2002:c000:204::1", true],
  ["2001:0:a9fe:a9fe::1", false],
  ["2001:0:c000:204:0:ffff:5601:5601", false],
  ["2001:0:c000:204:0:ffff:3fff:fdfb", true],
  ["fe80::1%lo", true],
];

await test("an uplink may lead to the site and beyond it, not to what serves this machine alone", (t) => {
  for (const [address, isAllowed] of ADDRESSES) {
    t.equal(upstreamAddressFault(address) === undefined, isAllowed, address);
  }
  t.end();
});

await test("whatever the address, the answer is a reason or none", (t) => {
  const anyAddress = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.domain(), fc.string());
  const property = fc.property(anyAddress, (address) => {
    const fault = upstreamAddressFault(address);
    return fault === undefined || fault.length > 0;
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

await test("a name that leads to a forbidden address is not connected to, however it is written", async (t) => {
  // What resolvers take for an address although it does not look like one.
  for (const name of ["0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]) {
    const outcome = await new Promise<string>((resolve) => {
      lookupUpstream(name, {}, (error, address) => {
        resolve(error?.code ?? JSON.stringify(address));
      });
    });
    t.match(outcome, /^(EFORBIDDENADDRESS|ENOTFOUND|EAI_AGAIN)$/, name);
  }
});

await test("a line is not dialled to a forbidden address, directly or through a proxy", async (t) => {
  const server = createServer(() => t.fail("the proxy was asked"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const proxied = { url: "mqtt://169.254.169.254", proxy: `socks5://127.0.0.1:${port}` };
  const routes = [{ url: "mqtt://169.254.169.254:80" }, { url: "ws://0xa9fea9fe" }];
  for (const route of routes) {
    const failure = await dial(route, 1024, AbortSignal.timeout(5_000)).catch((e: unknown) => e);
    t.ok(failure instanceof LineFailure, route.url);
    t.match((failure as LineFailure).kind, /^(forbidden|unreachable)$/, route.url);
  }
  const failure = await dial(proxied, 1024, AbortSignal.timeout(5_000)).catch((e: unknown) => e);
  t.equal((failure as LineFailure).kind, "forbidden");
  t.match((failure as LineFailure).message, /metadata service/);
});
