import { COMMON_PASSWORDS, COMMON_STEMS } from "./common-passwords.ts";
import { FIXED_LIMITS } from "./limits.ts";

/**
 * Why a person may not choose this password, in words for that person, or `undefined` if he may. The
 * rules are those of NIST SP 800-63B §5.1.1.2: long, not one that guessers try first, nothing about
 * which characters. `names`: what guessers would try here, as the user, the account and the host.
 */
export function passwordFault(password: string, names: readonly string[]): string | undefined {
  const { passwordLengthMin, passwordBytesMax } = FIXED_LIMITS;
  const characters = Array.from(password);
  if (characters.length < passwordLengthMin) {
    return `must have at least ${passwordLengthMin} characters`;
  }
  if (Buffer.byteLength(password) > passwordBytesMax) {
    return `must have at most ${passwordBytesMax} bytes`;
  }
  if (!password.isWellFormed() || CONTROL.test(password)) {
    return "must have no control characters";
  }
  const folded = password.toLowerCase();
  if (isCommon(folded)) return "is one of the commonest passwords, with or without digits added";
  if (isMonotonous(folded)) return "is a sequence, or a few characters over and over";
  const stem = stemOf(folded);
  const isName = names.some((name) => stem === stemOf(name.toLowerCase()));
  return isName ? "is the name of the user, the account or the gateway" : undefined;
}

const CONTROL = /\p{Cc}/u;

/** Without what people put in front of a word and behind it, to make it look like a password. */
function stemOf(folded: string): string {
  return folded.replace(/^[^\p{L}]+/u, "").replace(/[^\p{L}]+$/u, "");
}

function isCommon(folded: string): boolean {
  if (COMMON_PASSWORDS.has(folded)) return true;
  const stem = stemOf(folded);
  return COMMON_PASSWORDS.has(stem) || COMMON_STEMS.has(stem);
}

/** So few characters over and over are no secret, however long the password. */
const SHORT_PERIODS = [1, 2, 3] as const;

function isMonotonous(folded: string): boolean {
  const points = Array.from(folded, (character) => character.codePointAt(0) ?? 0);
  const repeats = (period: number): boolean =>
    points.every((point, at) => at < period || point === points[at - period]);
  if (SHORT_PERIODS.some(repeats)) return true;
  const steps = points.slice(1).map((point, at) => point - (points[at] ?? 0));
  // 9 is followed by 0 on a keyboard, and 0 by 9 on the way back.
  const isStep = (step: number, one: number): boolean => step === one || step === -9 * one;
  return steps.every((step) => isStep(step, 1)) || steps.every((step) => isStep(step, -1));
}
