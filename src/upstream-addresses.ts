import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/**
 * Why an uplink, or its proxy, must not be at this IP address; `undefined`: it may. Whoever may set an
 * uplink must not get at what only this machine can reach: the metadata of a cloud with the keys of
 * the machine in it. The machine itself and every network of the site may be upstream.
 */
export function upstreamAddressFault(address: string): string | undefined {
  const family = isIP(address);
  if (family === 0) return undefined;
  const type = family === 4 ? "ipv4" : "ipv6";
  return RULES.find(({ list }) => list.check(address, type))?.fault;
}

/**
 * `dns.lookup` that leaves out addresses no uplink must be at: what a name means is decided when it
 * is connected to, so that no name service can change its mind in between (DNS rebinding).
 */
export const lookupUpstream: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) {
      callback(error, "", 0);
      return;
    }
    const allowed = found.filter(({ address }) => upstreamAddressFault(address) === undefined);
    const [first] = allowed;
    if (first === undefined) callback(forbiddenError(hostname, found), "", 0);
    else if (options.all === true) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};

/** The code of the error of a name that leads only to forbidden addresses. */
export const FORBIDDEN_ADDRESS = "EFORBIDDENADDRESS";

function forbiddenError(hostname: string, found: readonly LookupAddress[]): NodeJS.ErrnoException {
  const [first] = found;
  const fault = first === undefined ? undefined : upstreamAddressFault(first.address);
  const detail = fault ?? "has no address";
  return Object.assign(new Error(`${hostname} ${detail}`), { code: FORBIDDEN_ADDRESS });
}

type Subnet = readonly [net: string, prefix: number, type: "ipv4" | "ipv6"];

function rule(fault: string, ...subnets: readonly Subnet[]) {
  const list = new BlockList();
  for (const [net, prefix, type] of subnets) list.addSubnet(net, prefix, type);
  return { list, fault };
}

/** IPv4 addresses inside IPv6 ones (RFC 4291 §2.5.5.2) are checked by BlockList as what they are. */
const RULES = [
  // AWS, Azure, Google and others; AWS over IPv6; Alibaba; Oracle's older one.
  rule(
    "is the metadata service of a cloud, not a broker",
    ["169.254.169.254", 32, "ipv4"],
    ["169.254.170.2", 32, "ipv4"],
    ["fd00:ec2::254", 128, "ipv6"],
    ["100.100.100.200", 32, "ipv4"],
    ["192.0.0.192", 32, "ipv4"],
  ),
  // RFC 1122 §3.2.1.3, RFC 4291 §2.5.2: a system may take it for itself.
  rule("is no host's address (unspecified)", ["0.0.0.0", 8, "ipv4"], ["::", 128, "ipv6"]),
  rule("is a multicast address, not a host's", ["224.0.0.0", 4, "ipv4"], ["ff00::", 8, "ipv6"]),
  rule("is a reserved or broadcast address, not a host's", ["240.0.0.0", 4, "ipv4"]),
];
