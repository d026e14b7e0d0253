import { GatewayError } from "../errors.ts";

/** The conditions of a request, RFC 9110 §13.1: opaque tags without quotes, or `*` for any. */
export type Preconditions = {
  readonly ifMatch: readonly string[] | "*" | undefined;
  readonly ifNoneMatch: readonly string[] | "*" | undefined;
};

/** @throws GatewayError `malformed` for a header that is no list of entity tags. */
export function readPreconditions(header: (name: string) => string | undefined): Preconditions {
  return {
    // A weak tag never matches strongly, RFC 9110 §8.8.3.2.
    ifMatch: readTags("If-Match", header("if-match"), (isWeak) => !isWeak),
    ifNoneMatch: readTags("If-None-Match", header("if-none-match"), () => true),
  };
}

/**
 * Call it in the turn of the change, with the tags of what is there now (one for each of its
 * representations), or with none if there is nothing.
 * @throws GatewayError `precondition-failed`.
 */
export function requireMatch({ ifMatch, ifNoneMatch }: Preconditions, ...present: string[]): void {
  if (ifMatch !== undefined && !includesAny(ifMatch, present)) {
    const found = present[0] === undefined ? "there is nothing" : `the ETag is "${present[0]}"`;
    throw new GatewayError("precondition-failed", `If-Match: ${found}`);
  }
  if (ifNoneMatch !== undefined && includesAny(ifNoneMatch, present)) {
    throw new GatewayError("precondition-failed", "If-None-Match: it exists");
  }
}

/**
 * For GET and HEAD: `true` if the client has this representation already.
 * @throws GatewayError `precondition-failed`.
 */
export function isUnmodified({ ifMatch, ifNoneMatch }: Preconditions, present: string): boolean {
  requireMatch({ ifMatch, ifNoneMatch: undefined }, present);
  return ifNoneMatch !== undefined && includesAny(ifNoneMatch, [present]);
}

function includesAny(wanted: readonly string[] | "*", present: readonly string[]): boolean {
  if (wanted === "*") return present.length > 0;
  return present.some((tag) => wanted.includes(tag));
}

const TAGS =
  /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:[ \t]*,[ \t]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*$/;
const TAG = /(W\/)?"([^"]*)"/g;

function readTags(
  name: string,
  text: string | undefined,
  isWanted: (isWeak: boolean) => boolean,
): readonly string[] | "*" | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (trimmed === "*") return "*";
  if (!TAGS.test(trimmed)) {
    throw new GatewayError("malformed", `${name} must be * or a list of entity tags in quotes`);
  }
  return Array.from(trimmed.matchAll(TAG)).flatMap(([, weak, tag = ""]) =>
    isWanted(weak !== undefined) ? [tag] : [],
  );
}
