import { crc32 } from "node:zlib";
import { seededRandom } from "../store/random.ts";

/** Choices that a seed decides. */
export type Dice = {
  /** A whole number from 0 to `bound - 1`. */
  readonly below: (bound: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly pick: <Item>(items: readonly Item[]) => Item;
  /** Dice of their own: what one writer draws does not depend on how fast the others are. */
  readonly fork: (name: string) => Dice;
};

const RANGE = 2 ** 32;

export function makeDice(seed: number): Dice {
  const random = seededRandom(seed);
  const next = (): number => Buffer.from(random.bytes(4)).readUInt32BE() / RANGE;
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (items) => items[below(items.length)]!,
    fork: (name) => makeDice(crc32(name, seed >>> 0)),
  };
}
