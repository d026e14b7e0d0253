import { FIXED_LIMITS } from "./limits.ts";
import { isCommon, isMonotonous, stemOf } from "./password-guesses.ts";

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
  if (isCommon(folded)) return "is one of the commonest passwords, or made of one or two of them";
  if (isMonotonous(folded))
    return "is a sequence, a way over the keyboard, or something short over and over";
  const stem = stemOf(folded);
  const isName = names.some((name) => stem === stemOf(name.toLowerCase()));
  return isName ? "is the name of the user, the account or the gateway" : undefined;
}

const CONTROL = /\p{Cc}/u;
