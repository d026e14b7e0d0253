import { FIXED_LIMITS } from "../limits.ts";

/** What may be under way at once on a line. */
export type Window = { readonly messages: number; readonly bytes: number };

/** `receiveMax`: what the broker takes [MQTT-3.3.4-9 of MQTT 5]. */
export function windowOf(configured: number, receiveMax: number): Window {
  return {
    messages: Math.max(1, Math.min(configured, receiveMax)),
    bytes: FIXED_LIMITS.uplinkFlightBytesMax,
  };
}

/** Whether one more may be sent. One message always may, whatever its size. */
export function hasRoom(
  window: Window,
  inFlight: { readonly count: number; readonly bytes: number },
): boolean {
  if (inFlight.count === 0) return true;
  return inFlight.count < window.messages && inFlight.bytes < window.bytes;
}
