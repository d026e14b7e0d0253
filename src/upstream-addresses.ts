import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { addressBytes } from "./address-bytes.ts";

/**
 * Why an uplink, or its proxy, must not be at this IP address; `undefined`: it may. Whoever may set an
 * uplink must not get at what only this machine can reach: the metadata of a cloud with the keys of
 * the machine in it. The machine itself and every network of the site may be upstream. An IPv6 address
 * that leads to an IPv4 one must not lead to one of these either.
 */
export function upstreamAddressFault(address: string): string | undefined {
  switch (isIP(address)) {
    case 0:
      return undefined;
    case 4:
      return RULES.find(({ list }) => list.check(address, "ipv4"))?.fault;
  }
  const [bare = ""] = address.split("%");
  const own = RULES.find(({ list }) => list.check(bare, "ipv6"))?.fault;
  if (own !== undefined) return own;
  const bytes = addressBytes(bare);
  if (bytes === undefined) return undefined;
  for (const inner of innerAddresses(bytes)) {
    const fault = upstreamAddressFault(inner);
    if (fault !== undefined) return fault;
  }
  return guessedAddresses(bytes).some((inner) => METADATA.list.check(inner, "ipv4"))
    ? METADATA.fault
    : undefined;
}

/** The IPv4 addresses that an IPv6 one leads to, through a translator or a tunnel. */
function innerAddresses(bytes: Buffer): readonly string[] {
  const startsWith = (hex: string): boolean => bytes.toString("hex").startsWith(hex);
  const tail = ipv4At(bytes, [12, 13, 14, 15]);
  // IPv4-compatible (RFC 4291 §2.5.5.1), but for `::1` and its neighbours; SIIT (RFC 7915 §2.1);
  // NAT64 (RFC 6052 §2.1).
  if (startsWith("0".repeat(24)) && !startsWith("0".repeat(28))) return [tail];
  if (startsWith(`${"0".repeat(16)}ffff0000`)) return [tail];
  if (startsWith(`0064ff9b${"0".repeat(16)}`)) return [tail];
  if (startsWith("2002")) return [ipv4At(bytes, [2, 3, 4, 5])]; // 6to4, RFC 3056 §2.
  // Teredo, RFC 4380 §4: the server, and the client with its bits turned round.
  const client = [12, 13, 14, 15].map((at) => 0xff ^ bytes.readUInt8(at)).join(".");
  return startsWith("20010000") ? [ipv4At(bytes, [4, 5, 6, 7]), client] : [];
}

/**
 * NAT64 of a site (RFC 8215): the IPv4 address stands in one of four places (RFC 6052 §2.2), and only the
 * site knows in which, so that most of these lead nowhere.
 */
function guessedAddresses(bytes: Buffer): readonly string[] {
  if (!bytes.toString("hex").startsWith("0064ff9b0001")) return [];
  const places = [
    [6, 7, 9, 10],
    [7, 9, 10, 11],
    [9, 10, 11, 12],
    [12, 13, 14, 15],
  ];
  return places.map((place) => ipv4At(bytes, place));
}

function ipv4At(bytes: Buffer, places: readonly number[]): string {
  return places.map((at) => bytes.readUInt8(at)).join(".");
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

// AWS, Azure, Google and others; AWS over IPv6; Alibaba; Oracle's older one.
const METADATA = rule(
  "is the metadata service of a cloud, not a broker",
  ["169.254.169.254", 32, "ipv4"],
  ["169.254.170.2", 32, "ipv4"],
  ["fd00:ec2::254", 128, "ipv6"],
  ["100.100.100.200", 32, "ipv4"],
  ["192.0.0.192", 32, "ipv4"],
);

/** Mapped addresses (`::ffff:…`, RFC 4291 §2.5.5.2) are checked by BlockList as the IPv4 ones they are. */
const RULES = [
  METADATA,
  // RFC 1122 §3.2.1.3, RFC 4291 §2.5.2: a system may take it for itself.
  rule("is no host's address (unspecified)", ["0.0.0.0", 8, "ipv4"], ["::", 128, "ipv6"]),
  rule("is a multicast address, not a host's", ["224.0.0.0", 4, "ipv4"], ["ff00::", 8, "ipv6"]),
  rule("is a reserved or broadcast address, not a host's", ["240.0.0.0", 4, "ipv4"]),
];
