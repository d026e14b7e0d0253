import { COMMON_PASSWORDS, COMMON_STEMS } from "./common-passwords.ts";
import { FIXED_LIMITS } from "./limits.ts";

// What guessers make of a few hundred words by rules. They try it before anything else, so no list that
// is stored has to name it: with these rules 1,600 words stand for hundreds of thousands of passwords.

/** In lower case: is it one of the commonest, or made of one or two of them? */
export function isCommon(folded: string): boolean {
  if (COMMON_PASSWORDS.has(folded)) return true;
  const parts = folded.split(/[^\p{L}]+/u).filter((part) => part !== "");
  if (parts.length > 0 && parts.length <= 2 && parts.every(isCommonWord)) return true;
  return spellingsOf(folded).some((spelling) => isCommonWord(spelling) || isTwoWords(spelling));
}

/** As it is, and with digits and signs for letters, of which one or two may stand at either end. */
function spellingsOf(folded: string): readonly string[] {
  const bare = folded.replace(BEHIND, "");
  const ends = [0, 1, 2].map((more) => folded.slice(0, bare.length + more));
  return [stemOf(folded), ...ends.flatMap((end) => [plain(end), plain(end.replace(BEFORE, ""))])];
}

/** Without what people put in front of a word and behind it, to make it look like a password. */
export function stemOf(folded: string): string {
  return folded.replace(BEFORE, "").replace(BEHIND, "");
}

const BEFORE = /^[^\p{L}]+/u;
const BEHIND = /[^\p{L}]+$/u;

/** In lower case: a sequence, a walk over the keyboard, or something short over and over? */
export function isMonotonous(folded: string): boolean {
  const letters = Array.from(folded);
  const isOver = (period: number): boolean =>
    letters.every((letter, at) => at < period || letter === letters[at - period]);
  for (let period = 1; period < FIXED_LIMITS.passwordLengthMin; period += 1) {
    // Three letters over and over may end within the third.
    if ((period <= 3 || letters.length >= 2 * period) && isOver(period)) return true;
  }
  return isWalk(folded);
}

/** The ways of fingers and of the alphabet, on keyboards of English, German and French. */
const WAYS = [
  ...[
    "12345678901234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
  ],
  ...[
    "asdfghjkl",
    "qsdfghjklm",
    "zxcvbnm",
    "yxcvbnm",
    "wxcvbn",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
  ],
  ...["6yhn", "6zhn", "7ujm", "8ik", "9ol", "1qay", "1aqw", "2zsx"],
].flatMap((way) => [way, Array.from(way).reverse().join("")]);

const SHORTEST_WAY = 3;

/** Nothing but pieces of such ways, each of three keys and more. */
function isWalk(folded: string): boolean {
  let at = 0;
  while (at < folded.length) {
    let length = 0;
    while (at + length < folded.length && isWay(folded.slice(at, at + length + 1))) length += 1;
    if (length < SHORTEST_WAY) return false;
    at += length;
  }
  return true;
}

function isWay(piece: string): boolean {
  return WAYS.some((way) => way.includes(piece));
}

function isTwoWords(text: string): boolean {
  for (let at = 3; at <= text.length - 3; at += 1) {
    if (isCommonWord(text.slice(0, at)) && isCommonWord(text.slice(at))) return true;
  }
  return false;
}

function isCommonWord(word: string): boolean {
  return COMMON_STEMS.has(word) || COMMON_PASSWORDS.has(word) || NEAR_WORDS.has(word);
}

/** Digits and signs that stand for a letter, which hides nothing. */
const FOR_LETTERS: Readonly<Record<string, string>> = {
  ...{ "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b" },
  ...{ "@": "a", $: "s", "!": "i", "€": "e" },
};

function plain(text: string): string {
  return Array.from(text, (letter) => FOR_LETTERS[letter] ?? letter).join("");
}

/** What lies at hand where a gateway hangs: the year, the trade, the box, what a setup asks for. */
const NEAR_WORDS: ReadonlySet<string> = new Set(
  `january february march april june july august september october november december monday tuesday
  wednesday thursday saturday sunday spring summer autumn winter januar februar april juni juli
  oktober dezember sommer herbst fruehling hallo admin administrator user guest root operator installer
  engineer service support maintenance technician default changeme change letmein welcome password
  passwort passwd pass secret geheim login access gateway edge factory plant machine boiler sensor
  device controller automation industry industrial scada modbus mqtt mosquitto broker thing things iot
  raspberry raspberrypi siemens rockwell schneider beckhoff wago company internet network wifi router
  computer laptop qwerty qwertz azerty asdf yxcv`
    .trim()
    .split(/\s+/),
);
