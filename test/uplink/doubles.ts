const PUBLISH = 3;
const PUBACK = 4;
const DUP = 0x08;
const QOS_1 = 0x02;

/**
 * Cuts a stream of MQTT packets behind each PUBLISH of QoS 1 and each PUBACK that `isDoubled` picks, and
 * puts a copy there: as a broker or a client does that is not sure whether it was heard.
 */
export class Doubles {
  readonly #isDoubled: () => boolean;
  #packet: Buffer[] = [];
  /** Bytes of the packet that have not come; `undefined`: its length is not known. */
  #missing: number | undefined;

  constructor(isDoubled: () => boolean) {
    this.#isDoubled = isDoubled;
  }

  pieces(bytes: Buffer): readonly Buffer[] {
    const pieces: Buffer[] = [];
    let from = 0;
    for (let at = 0; at < bytes.length;) {
      const most = this.#missing ?? 1;
      const part = bytes.subarray(at, at + most);
      this.#packet.push(part);
      at += part.length;
      this.#missing = this.#missing === undefined ? this.#length() : this.#missing - part.length;
      if (this.#missing !== 0) continue;
      const copy = this.#copy();
      this.#packet = [];
      this.#missing = undefined;
      if (copy === undefined) continue;
      pieces.push(bytes.subarray(from, at), copy);
      from = at;
    }
    return from < bytes.length ? [...pieces, bytes.subarray(from)] : pieces;
  }

  /** What remains behind the fixed header [MQTT-2.2.3]; `undefined`: that has not all come. */
  #length(): number | undefined {
    const [, ...lengths] = Buffer.concat(this.#packet);
    if ((lengths.at(-1) ?? 0x80) >= 0x80) return undefined;
    return lengths.reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0);
  }

  #copy(): Buffer | undefined {
    const copy = Buffer.concat(this.#packet);
    const [first = 0] = copy;
    const isPublish = first >> 4 === PUBLISH && (first & 0x06) === QOS_1;
    if (!isPublish && first >> 4 !== PUBACK) return undefined;
    if (!this.#isDoubled()) return undefined;
    if (isPublish) copy[0] = first | DUP;
    return copy;
  }
}
