import { test } from "tap";
import { tcpPeer } from "../src/channel.ts";

await test("a peer is this machine by its address only, and an IPv4 one is named as such", (t) => {
  const table: readonly (readonly [string | undefined, string, boolean])[] = [
    ["127.0.0.1", "127.0.0.1", true],
    ["::ffff:127.0.0.1", "127.0.0.1", true],
    ["::1", "::1", true],
    ["::ffff:192.0.2.7", "192.0.2.7", false],
    ["2001:db8::1", "2001:db8::1", false],
    ["fe80::1%eth0", "fe80::1%eth0", false],
    [undefined, "", false],
  ];
  for (const [remote, address, isLoopback] of table) {
    t.same(
      tcpPeer("tls", remote),
      { address, channel: { kind: "tls", isLoopback } },
      String(remote),
    );
  }
  t.end();
});
