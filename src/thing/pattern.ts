import { FIXED_LIMITS } from "../limits.ts";

/** A `pattern` of a DataSchema: finds a match anywhere in the text, as JSON Schema asks. */
export type Pattern = (text: string) => boolean;

export type PatternOutcome =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly detail: string };

/**
 * Compiles an ECMAScript regular expression (flag `u`) to one that takes time linear in the text,
 * whatever the pattern: a device's value must never stop the gateway. The backtracking of the
 * built-in engine is exponential for `(a+)+$` and quadratic for a mere `a*b`. Back-references and
 * look-around, which no linear engine has, are refused, and so are large counted repetitions.
 */
export function compilePattern(source: string): PatternOutcome {
  try {
    new RegExp(source, "u");
  } catch {
    return { ok: false, detail: "must be an ECMAScript regular expression (flag u)" };
  }
  const node = parse(source);
  if (node === undefined) {
    return { ok: false, detail: "must have no back-references, look-around or modifiers" };
  }
  const { patternStatesMax } = FIXED_LIMITS;
  if (stateCount(node) > patternStatesMax) {
    return {
      ok: false,
      detail: `must have at most ${patternStatesMax} states when repetitions unfold`,
    };
  }
  const states: State[] = [{ kind: "match" }];
  const start = build(states, node, 0);
  return { ok: true, pattern: (text) => search(states, start, text) };
}

type Place = "start" | "end" | "boundary" | "no-boundary";

type Node =
  | { readonly kind: "set"; readonly has: CodePoints }
  | { readonly kind: "at"; readonly place: Place }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly options: readonly Node[] }
  | { readonly kind: "repeat"; readonly part: Node; readonly min: number; readonly max: number };

/** A step of the machine (Thompson's construction); `next` are indexes of states. */
type State =
  | { readonly kind: "match" }
  | { readonly kind: "set"; readonly has: CodePoints; readonly next: number }
  | { readonly kind: "at"; readonly place: Place; readonly next: number }
  | { readonly kind: "fork"; readonly next: readonly number[] };

type CodePoints = (codePoint: number) => boolean;

/** Follows all ways at once, one character after the other, each state at most once a character. */
function search(states: readonly State[], start: number, text: string): boolean {
  const seenAt = new Int32Array(states.length).fill(-1);
  let waiting: number[] = [];
  for (let index = 0; ;) {
    // States to look at before the next character; a match may begin at every place.
    const open = [...waiting, start];
    const codePoint = text.codePointAt(index);
    waiting = [];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const state = states[at];
      if (state === undefined || seenAt[at] === index) continue;
      seenAt[at] = index;
      if (state.kind === "match") return true;
      if (state.kind === "fork") open.push(...state.next);
      else if (state.kind === "at") {
        if (isAt(state.place, text, index)) open.push(state.next);
      } else if (codePoint !== undefined && state.has(codePoint)) waiting.push(state.next);
    }
    if (codePoint === undefined) return false;
    index += codePoint > 0xffff ? 2 : 1;
  }
}

function isAt(place: Place, text: string, index: number): boolean {
  switch (place) {
    case "start":
      return index === 0;
    case "end":
      return index === text.length;
    case "boundary":
      return isWordAt(text, index - 1) !== isWordAt(text, index);
    case "no-boundary":
      return isWordAt(text, index - 1) === isWordAt(text, index);
  }
}

function isWordAt(text: string, index: number): boolean {
  return /^\w$/.test(text.charAt(index));
}

function stateCount(node: Node): number {
  switch (node.kind) {
    case "set":
    case "at":
      return 1;
    case "sequence":
      return node.parts.reduce((sum, part) => sum + stateCount(part), 0);
    case "choice":
      return node.options.reduce((sum, option) => sum + stateCount(option), 1);
    case "repeat": {
      const copies = node.max === Infinity ? node.min + 1 : node.max;
      return copies * (stateCount(node.part) + 1);
    }
  }
}

/** Adds the states of `node` that go on at `next`; returns the one to enter by. */
function build(states: State[], node: Node, next: number): number {
  switch (node.kind) {
    case "set":
      return states.push({ kind: "set", has: node.has, next }) - 1;
    case "at":
      return states.push({ kind: "at", place: node.place, next }) - 1;
    case "sequence":
      return node.parts.reduceRight((after, part) => build(states, part, after), next);
    case "choice": {
      const entries = node.options.map((option) => build(states, option, next));
      return states.push({ kind: "fork", next: entries }) - 1;
    }
    case "repeat":
      return buildRepeat(states, node, next);
  }
}

function buildRepeat(states: State[], node: Node & { kind: "repeat" }, next: number): number {
  let entry = next;
  if (node.max === Infinity) {
    // The loop: its fork must exist before what leads back to it.
    const ways = [next];
    entry = states.push({ kind: "fork", next: ways }) - 1;
    ways.push(build(states, node.part, entry));
  } else {
    for (let copy = node.min; copy < node.max; copy += 1) {
      const optional = build(states, node.part, entry);
      entry = states.push({ kind: "fork", next: [optional, next] }) - 1;
    }
  }
  for (let copy = 0; copy < node.min; copy += 1) entry = build(states, node.part, entry);
  return entry;
}

/** Where the parser stands in a source that is known to be valid. */
type Cursor = { readonly source: string; index: number };

/** `undefined`: holds something no finite machine can do, or that is unknown here. */
function parse(source: string): Node | undefined {
  return parseChoice({ source, index: 0 });
}

function parseChoice(cursor: Cursor): Node | undefined {
  const options: Node[] = [];
  do {
    const parts: Node[] = [];
    while (cursor.index < cursor.source.length && !/[|)]/.test(here(cursor))) {
      const atom = parseAtom(cursor);
      if (atom === undefined) return undefined;
      parts.push(parseQuantifier(cursor, atom));
    }
    options.push({ kind: "sequence", parts });
  } while (take(cursor, "|"));
  return { kind: "choice", options };
}

const QUANTIFIER = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y;

function parseQuantifier(cursor: Cursor, part: Node): Node {
  QUANTIFIER.lastIndex = cursor.index;
  const found = QUANTIFIER.exec(cursor.source);
  if (found === null) return part;
  cursor.index = QUANTIFIER.lastIndex;
  const [, sign, least, comma, most] = found;
  if (sign === "?") return { kind: "repeat", part, min: 0, max: 1 };
  if (sign !== undefined) {
    return { kind: "repeat", part, min: sign === "+" ? 1 : 0, max: Infinity };
  }
  const min = Number(least);
  if (comma === undefined) return { kind: "repeat", part, min, max: min };
  return { kind: "repeat", part, min, max: most === "" ? Infinity : Number(most) };
}

function parseAtom(cursor: Cursor): Node | undefined {
  if (take(cursor, "(")) {
    if (take(cursor, "?")) {
      // `(?:` and `(?<name>` group; `(?=`, `(?!`, `(?<=`, `(?<!` and `(?i:` are something else.
      const group = /:|<[^=!>][^>]*>/y;
      group.lastIndex = cursor.index;
      if (!group.test(cursor.source)) return undefined;
      cursor.index = group.lastIndex;
    }
    const inside = parseChoice(cursor);
    return inside !== undefined && take(cursor, ")") ? inside : undefined;
  }
  if (take(cursor, "^")) return { kind: "at", place: "start" };
  if (take(cursor, "$")) return { kind: "at", place: "end" };
  if (take(cursor, "\\b")) return { kind: "at", place: "boundary" };
  if (take(cursor, "\\B")) return { kind: "at", place: "no-boundary" };
  return parseSet(cursor);
}

/** One `.`, class, escape or character: what stands for exactly one code point. */
const SET =
  /\.|\[(?:\\[^]|[^\]\\])*\]|\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[dD][89abAB]..\\u[dD][c-fC-F]..|u....|x..|c.|[^1-9k])|[^\\]/suy;

function parseSet(cursor: Cursor): Node | undefined {
  SET.lastIndex = cursor.index;
  const found = SET.exec(cursor.source);
  if (found === null) return undefined;
  cursor.index = SET.lastIndex;
  return { kind: "set", has: codePointsOf(found[0]) };
}

/** A character that stands for itself; all others are written in more than one code point. */
const LITERAL = /^[^.]$/su;

/** The built-in engine says which single characters belong; it cannot backtrack on one. */
function codePointsOf(set: string): CodePoints {
  if (LITERAL.test(set)) {
    const only = set.codePointAt(0);
    return (codePoint) => codePoint === only;
  }
  const single = new RegExp(`^${set}$`, "u");
  const ascii: boolean[] = [];
  return (codePoint) => {
    if (codePoint > 0x7f) return single.test(String.fromCodePoint(codePoint));
    return (ascii[codePoint] ??= single.test(String.fromCodePoint(codePoint)));
  };
}

function here(cursor: Cursor): string {
  return cursor.source.charAt(cursor.index);
}

function take(cursor: Cursor, text: string): boolean {
  if (!cursor.source.startsWith(text, cursor.index)) return false;
  cursor.index += text.length;
  return true;
}
