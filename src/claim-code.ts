import { timingSafeEqual } from "node:crypto";
import type { Random } from "./clock.ts";
import { pickCharacters } from "./secrets.ts";

/** Base32 (RFC 4648 §6) without L, which is read as I and as 1: 31 letters, so a code has 59 bits. */
const ALPHABET = "ABCDEFGHIJKMNOPQRSTUVWXYZ234567";
const LENGTH = 12;

/** What people type for a letter of the alphabet that looks alike. */
const LOOK_ALIKES: Readonly<Record<string, string>> = { "0": "O", "1": "I", L: "I", "8": "B" };

/** 12 characters of base32. It says who may claim a box, to those who can see the box. */
export function makeClaimCode(random: Random): string {
  return pickCharacters(ALPHABET, LENGTH, random);
}

/** As it is shown: `ABCD-EFGH-IJ23`. */
export function groupedCode(code: string): string {
  return code.replaceAll(/.{4}(?=.)/g, "$&-");
}

/**
 * Is that the code, as a person types it: in small letters, with blanks or dashes or without, with 0
 * for O and 1 for I? In constant time with regard to the code.
 */
export function isClaimCode(typed: string, code: string): boolean {
  // A longer text would be taken apart for nothing.
  const given = Buffer.from(typed.length > 8 * LENGTH ? "" : readCode(typed));
  const wanted = Buffer.from(code);
  const isLong = given.length === wanted.length;
  return timingSafeEqual(isLong ? given : Buffer.alloc(wanted.length), wanted) && isLong;
}

function readCode(typed: string): string {
  const bare = typed.toUpperCase().replaceAll(/[\s\p{Pd}_.]/gu, "");
  return Array.from(bare, (letter) => LOOK_ALIKES[letter] ?? letter).join("");
}
