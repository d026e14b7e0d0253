import assert from "node:assert/strict";
import { Peer } from "../conformance/peer.ts";
import { connack, connect, PINGREQ, publish, suback, subscribe } from "../conformance/wire.ts";
import type { Target } from "./target.ts";

const SET = "set/quiet/things/probe/properties/beat";
const STATUS = "status/quiet/things/probe/properties/beat";

/** A client that does no harm and must never notice that others do. */
export class Bystander {
  readonly #peer: Peer;
  #beat = 0;

  private constructor(peer: Peer) {
    this.#peer = peer;
  }

  static async connect(target: Target): Promise<Bystander> {
    const peer = await Peer.open(target.mqttPort);
    peer.send(connect({ ...target.logins.probe, id: "bystander" }));
    await peer.expect(connack(false));
    peer.send(subscribe(1, [[STATUS, 0]]));
    await peer.expect(suback(1, [0]));
    return new Bystander(peer);
  }

  /**
   * Sets a property and is told so, and gets its PUBACK and its PINGRESP.
   * @throws if any of them is missing for 10 s, or anything else comes.
   */
  async check(): Promise<void> {
    this.#beat += 1;
    const payload = JSON.stringify({ beat: this.#beat });
    this.#peer.send(publish(SET, payload, { qos: 1, id: 7 }), PINGREQ);
    const got = [await this.#peer.next(), await this.#peer.next(), await this.#peer.next()];
    const due = [
      Buffer.from("d000", "hex"),
      Buffer.from("40020007", "hex"),
      publish(STATUS, payload),
    ];
    const text = (packets: readonly (Buffer | undefined)[]): readonly string[] =>
      packets.map((bytes) => bytes?.toString("hex") ?? "closed").sort();
    assert.deepEqual(text(got), text(due), "the bystander gets its own, and nothing else");
  }

  async close(): Promise<void> {
    await this.#peer.cut();
  }
}
