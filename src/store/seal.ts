import { crc32 } from "node:zlib";
import { isIndexKey } from "./keys.ts";

const DIGITS = 7;
const RADIX = 32;

/**
 * A checksum over key and content in front of the content: LevelDB does not check what it reads from
 * its tables, and a flipped bit in a key would show one row's content as another's.
 */
export function seal(key: string, content: string): string {
  return checksum(key, content) + content;
}

/** The content, or `undefined` if this is not what was written under this key. */
export function unseal(key: string, row: string): string | undefined {
  const content = row.slice(DIGITS);
  return row.slice(0, DIGITS) === checksum(key, content) ? content : undefined;
}

/** Has no checksum: a row of the index without content, which has nothing to protect. */
export function isBare(key: string, row: string): boolean {
  return row === "" && isIndexKey(key);
}

function checksum(key: string, content: string): string {
  return crc32(key + content)
    .toString(RADIX)
    .padStart(DIGITS, "0");
}
