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
  /** What gives back the place that each has among those of its address. */
  readonly #places = new WeakMap<Duplex, () => void>();
  readonly #ofAddress = new Map<string, number>();
  readonly #perAddressMax: number;
  #isEnding = false;
  #onEmpty: () => void = () => undefined;

  /** `perAddressMax`: connections of one IP address at once; of the machine itself by its socket any number. */
  constructor(perAddressMax: number) {
    this.#perAddressMax = perAddressMax;
  }

  /** @returns false if there are too many of its address: it is closed, and nothing is served on it. */
  add(socket: Duplex, peer: Peer): boolean {
    // One whose upgrade was passed over is shown again.
    if (this.has(socket)) return true;
    const isLocal = peer.channel.kind === "local";
    const release = isLocal ? () => undefined : this.takePlace(peer.address);
    if (release === undefined) {
      socket.destroy();
      return false;
    }
    this.#places.set(socket, release);
    this.#requests.set(socket, 0);
    this.#peers.set(socket, peer);
    socket.once("close", () => this.forget(socket));
    return true;
  }

  /** A handshake of TLS has one, too. `undefined`: there are too many of the address. */
  takePlace(address: string): (() => void) | undefined {
    const taken = this.#ofAddress.get(address) ?? 0;
    if (taken >= this.#perAddressMax) return undefined;
    this.#ofAddress.set(address, taken + 1);
    return () => {
      const left = (this.#ofAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#ofAddress.set(address, left);
      else this.#ofAddress.delete(address);
    };
  }

  has(socket: Duplex): boolean {
    return this.#requests.has(socket);
  }

  /** It ended, or is another protocol's from now on. */
  forget(socket: Duplex): void {
    if (!this.#requests.delete(socket)) return;
    this.#places.get(socket)?.();
    if (this.#requests.size === 0) this.#onEmpty();
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

  /** Ends what is idle now, and the others when they will be. Resolves when there is none left. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const isEmpty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const socket of this.#requests.keys()) if (!this.isBusy(socket)) socket.destroy();
    if (this.#requests.size > 0) await isEmpty;
  }

  /** Cuts off what has not ended yet. */
  cutOff(): void {
    for (const socket of this.#requests.keys()) socket.destroy();
  }

  #count(socket: Duplex, change: 1 | -1): void {
    const requests = this.#requests.get(socket);
    if (requests !== undefined) this.#requests.set(socket, requests + change);
  }
}
