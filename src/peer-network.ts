import { isIPv6, SocketAddress } from "node:net";

/**
 * Whose attempts are counted together: an IPv4 address (also as IPv6 has it, `::ffff:192.0.2.1`), and
 * of IPv6 the network of 64 bits, which one machine has all to itself (RFC 4291 §2.5.4).
 */
export function peerNetwork(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [bare = ""] = address.split("%");
  if (!isIPv6(bare)) return address;
  return `${groupsOf(new SocketAddress({ address: bare, family: "ipv6" }).address)}::/64`;
}

/** The first four of eight groups. */
function groupsOf(address: string): string {
  const [front = "", back] = address.split("::");
  const ahead = front === "" ? [] : front.split(":");
  const behind = back === undefined || back === "" ? [] : back.split(":");
  const zeros = back === undefined ? 0 : 8 - ahead.length - behind.length;
  return [...ahead, ...Array<string>(zeros).fill("0"), ...behind].slice(0, 4).join(":");
}
