import { GatewayError } from "../errors.ts";
import type { Call } from "./call.ts";

/**
 * A password a person chose is taken where nobody on the network reads it: over TLS, on loopback, or
 * through the socket at the box.
 * @throws GatewayError `insecure-channel`.
 */
export function requireSecure({ channel }: Pick<Call, "channel">): void {
  if (channel.kind !== "plain" || channel.isLoopback) return;
  throw new GatewayError("insecure-channel", "a password is not taken over a plain connection");
}
