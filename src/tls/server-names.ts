import { isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { FIXED_LIMITS } from "../limits.ts";
import { hostNames } from "../host-names.ts";

/** What the machine is called and where it is, at this moment. */
export type Surroundings = {
  readonly hostname: () => string;
  /** Each address of each interface. */
  readonly addresses: () => readonly string[];
};

export const MACHINE: Surroundings = {
  hostname,
  addresses: () =>
    Object.values(networkInterfaces()).flatMap((of) => (of ?? []).map(({ address }) => address)),
};

/** What can stand in a certificate as a host name: ASCII, as DNS has it. */
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*$/;

/**
 * Every name the gateway is reached by: those that were given first, the host name and its `.local`,
 * `localhost`, and every address. As many as go into a certificate that small devices can still take.
 */
export function serverNames(given: readonly string[], of: Surroundings): readonly string[] {
  const names = hostNames(
    given.filter((name) => isIP(name) === 0),
    of.hostname(),
  );
  const wanted = [
    ...given.map((name) => name.toLowerCase()),
    ...[...names, "localhost"].filter((name) => DNS_NAME.test(name)),
    // `%eth0` says over which interface, on this machine.
    ...of.addresses().map((address) => address.replace(/%.*$/, "")),
  ];
  return [...new Set(wanted)].slice(0, FIXED_LIMITS.serverNamesMax);
}
