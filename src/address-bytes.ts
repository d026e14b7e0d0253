import { isIP } from "node:net";

/** The bytes of an IP address, in network order (RFC 5280 §4.2.1.6): four or sixteen of them. */
export function addressBytes(address: string): Buffer | undefined {
  switch (isIP(address)) {
    case 4:
      return Buffer.from(address.split(".").map(Number));
    case 6:
      return addressBytes6(address);
    default:
      return undefined;
  }
}

function addressBytes6(address: string): Buffer | undefined {
  const url = `http://[${address}]`;
  if (!URL.canParse(url)) return undefined; // It names an interface: `fe80::1%eth0`.
  // As RFC 5952 has it: an IPv4 tail has become two groups, and there is one `::` at the most.
  const { hostname } = new URL(url);
  const [ahead = [], behind = []] = hostname
    .slice(1, -1)
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":")));
  const zeros = Array<string>(8 - ahead.length - behind.length).fill("0");
  const groups = [...ahead, ...zeros, ...behind];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
