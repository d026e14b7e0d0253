import { encodeTime, monotonicFactory, decodeTime } from "ulid";
import type { Clock, Random } from "../clock.ts";
import type { Moment } from "./keys.ts";

/**
 * Ids of stored objects, all of the form of a ULID.
 *
 * `next` gives one for what has to be unique in the world: Things, tokens, credentials. `ofMoment`
 * gives the id of an event, an action request or a datum: its 80 random bits hold 25 bits that name
 * this store and 55 bits of the change's sequence, so that an id leads to its row without an index
 * and sorts as (time, sequence). The same form serves as paging cursor.
 */
export type Ids = {
  readonly next: () => string;
  readonly ofMoment: (moment: Moment) => string;
  /** `undefined` for an id of another form or of another store. */
  readonly momentOf: (id: string) => Moment | undefined;
};

// Crockford's base 32, as the ULID specification has it.
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_LENGTH = 10;
const SALT_LENGTH = 5;
const SEQUENCE_LENGTH = 11;
const BITS = 5;

/** `salt`: this store's name in its ids, a whole number below 2^25. */
export function makeIds(clock: Clock, random: Random, salt: number): Ids {
  const saltDigits = encode(salt, SALT_LENGTH);
  const monotonic = monotonicFactory(() => (random.bytes(1)[0] ?? 0) / 256);
  return {
    next: () => monotonic(clock.wallMs()),
    ofMoment: ({ at, sequence }) =>
      encodeTime(at, TIME_LENGTH) + saltDigits + encode(sequence, SEQUENCE_LENGTH),
    momentOf: (id) => {
      if (id.length !== TIME_LENGTH + SALT_LENGTH + SEQUENCE_LENGTH) return undefined;
      if (id.slice(TIME_LENGTH, TIME_LENGTH + SALT_LENGTH) !== saltDigits) return undefined;
      const sequence = decode(id.slice(TIME_LENGTH + SALT_LENGTH));
      if (sequence === undefined || !Number.isSafeInteger(sequence)) return undefined;
      if (decode(id.slice(0, TIME_LENGTH)) === undefined || id.charAt(0) > "7") return undefined;
      return { at: decodeTime(id), sequence };
    },
  };
}

/** A number that names a new store in its ids. */
export function newSalt(random: Random): number {
  const bytes = random.bytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) >>> (32 - SALT_LENGTH * BITS);
}

function encode(value: number, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest = Math.floor(rest / CROCKFORD.length)) {
    text = CROCKFORD.charAt(rest % CROCKFORD.length) + text;
  }
  return text;
}

function decode(text: string): number | undefined {
  let value = 0;
  for (const letter of text) {
    const digit = CROCKFORD.indexOf(letter);
    if (digit < 0) return undefined;
    value = value * CROCKFORD.length + digit;
  }
  return value;
}
