/**
 * What was sent in this MQTT session and not acknowledged, with its packet id: sent again, it has that
 * id and DUP [MQTT-4.4.0-1], [MQTT-3.3.1-1]. Outlives lines; a start knows only how far it may have got.
 */
export class SentBefore {
  readonly #ids = new Map<number, number[]>();
  #mayThrough: number;

  /** `mayThrough`: up to this number something may have been sent before the start. */
  constructor(mayThrough: number) {
    this.#mayThrough = mayThrough;
  }

  /** The broker knows nothing of what was sent before. */
  sessionLost(): void {
    this.#ids.clear();
    this.#mayThrough = 0;
  }

  idOf(seq: number, nth: number): number | undefined {
    return this.#ids.get(seq)?.[nth];
  }

  mayHaveBeen(seq: number): boolean {
    return seq <= this.#mayThrough;
  }

  remember(seq: number, nth: number, packetId: number): void {
    const ids = this.#ids.get(seq);
    if (ids === undefined) this.#ids.set(seq, [packetId]);
    else ids[nth] = packetId;
  }

  forget(seq: number): void {
    this.#ids.delete(seq);
  }
}
