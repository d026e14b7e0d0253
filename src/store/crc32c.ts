/** CRC-32C (Castagnoli), reversed: the checksum of LevelDB's files. Node has only CRC-32. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  return crc;
});

/** One more byte. Begins at `0xffffffff`; the checksum is the complement of the last one. */
export function crcStep(crc: number, byte: number): number {
  return (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
}

/** Of `bytes` from `start` to before `end`, masked as LevelDB stores it (db/log_format, util/crc32c.h). */
export function maskedCrc(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffffffff;
  for (let at = start; at < end; at += 1) crc = crcStep(crc, bytes[at] ?? 0);
  return mask(crc);
}

/** What LevelDB stores for the state that `crcStep` has reached. */
export function mask(state: number): number {
  const crc = ~state >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
