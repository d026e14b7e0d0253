import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Peer } from "../channel.ts";

/**
 * Who is at the other end of each connection, and which have a request under way. Node's own count
 * takes one that has sent nothing yet for busy.
 */
export class Connections {
  readonly #requests = new Map<Duplex, number>();
  /** Known for as long as a request of it may be served: also when the peer has gone. */
  readonly #peers = new WeakMap<Duplex, Peer>();
  #isEnding = false;

  add(socket: Duplex, peer: Peer): void {
    this.#requests.set(socket, 0);
    this.#peers.set(socket, peer);
    socket.once("close", () => this.#requests.delete(socket));
  }

  peerOf(socket: Duplex): Peer {
    const peer = this.#peers.get(socket);
    if (peer === undefined) throw new Error("a request came by a connection that was not added");
    return peer;
  }

  begin(socket: Duplex, response: ServerResponse): void {
    this.#count(socket, 1);
    response.once("close", () => {
      this.#count(socket, -1);
      if (this.#isEnding && !this.isBusy(socket)) socket.end();
    });
  }

  isBusy(socket: Duplex): boolean {
    return (this.#requests.get(socket) ?? 0) > 0;
  }

  /** Ends what is idle now, and the others when they will be. */
  endIdle(): void {
    this.#isEnding = true;
    for (const socket of this.#requests.keys()) if (!this.isBusy(socket)) socket.destroy();
  }

  #count(socket: Duplex, change: 1 | -1): void {
    const requests = this.#requests.get(socket);
    if (requests !== undefined) this.#requests.set(socket, requests + change);
  }
}
