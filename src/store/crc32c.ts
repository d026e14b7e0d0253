/** CRC-32C (Castagnoli), reversed: the checksum of LevelDB's files. Node has only CRC-32. */
const POLYNOMIAL = 0x82f63b78;

/** The first table takes a byte on, each further one takes it past one byte more ("slicing by 8"). */
const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables();

/** One more byte. Begins at `0xffffffff`; the checksum is the complement of the last one. */
export function crcStep(crc: number, byte: number): number {
  return of(T0, crc ^ byte) ^ (crc >>> 8);
}

/** Of `bytes` from `start` to before `end`, masked as LevelDB stores it (util/crc32c.h). */
export function maskedCrc(bytes: Buffer, start: number, end: number): number {
  let crc = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ bytes.readInt32LE(at);
    const high = bytes.readInt32LE(at + 4);
    crc =
      of(T7, low) ^
      of(T6, low >>> 8) ^
      of(T5, low >>> 16) ^
      of(T4, low >>> 24) ^
      of(T3, high) ^
      of(T2, high >>> 8) ^
      of(T1, high >>> 16) ^
      of(T0, high >>> 24);
  }
  for (; at < end; at += 1) crc = crcStep(crc, bytes[at] ?? 0);
  return mask(crc);
}

/** What LevelDB stores for the state that `crcStep` has reached. */
export function mask(state: number): number {
  const crc = ~state >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** By the lowest byte of `index`. */
function of(table: Int32Array, index: number): number {
  return table[index & 0xff] ?? 0;
}

function makeTables() {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
    }
    return crc;
  });
  const next = (before: Int32Array): Int32Array =>
    before.map((crc) => (crc >>> 8) ^ of(first, crc));
  const second = next(first);
  const third = next(second);
  const fourth = next(third);
  const fifth = next(fourth);
  const sixth = next(fifth);
  const seventh = next(sixth);
  return [first, second, third, fourth, fifth, sixth, seventh, next(seventh)] as const;
}
