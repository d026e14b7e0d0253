import type { Duplex } from "node:stream";
import type { Clock } from "./clock.ts";
import { FIXED_LIMITS } from "./limits.ts";

/**
 * Says the last thing on a connection that nobody looks after any more, and closes it soon, whether the
 * peer does or not: nobody holds a connection by not hanging up. Never fails: a peer that has gone
 * already ends no process.
 */
export function endWith(socket: Duplex, text: string, clock: Pick<Clock, "after">): void {
  socket.on("error", () => socket.destroy());
  socket.once(
    "close",
    clock.after(FIXED_LIMITS.lingerMs, () => socket.destroy()),
  );
  // What it goes on to say is not kept.
  socket.resume();
  socket.end(text);
}
