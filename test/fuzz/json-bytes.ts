import type { Dice } from "../crash/dice.ts";

/** Values that parsers, schemas and stores stumble over. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -0,
  1e308,
  -1,
  2 ** 53,
  0.1,
  "",
  "on",
  "\u0000",
  "\ud800",
  "\u{1f600}",
  "a".repeat(300),
  "x".repeat(3_000),
  "__proto__",
  "2020-04-02T15:37:46Z",
  "../..",
  [],
  {},
  [[]],
  { a: 1 },
  [1, "2", null],
  { constructor: { prototype: { polluted: true } } },
  { href: "/site/things/boiler/actions/purge/0" },
];

/** Text that is put in the place of a value as it is: no JavaScript value writes it. */
const ODD_TEXTS = [
  "1e999",
  "-1e999",
  "123456789012345678901234567890",
  "0.00000000000000000000000000000001",
  "01",
  "NaN",
  "'single'",
  '"\\ud800"',
  '"\\u0000"',
  '{"__proto__": {"polluted": true}}',
  '{"a": 1, "a": 2}',
  '{"constructor": {"prototype": {"polluted": true}}}',
  "undefined",
  "[,]",
  "/* comment */ 1",
];

const ODD_KEYS = [
  "__proto__",
  "__proto__",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "a/b",
  "+",
  "#",
  ".",
  "..",
  "é",
  "\u0000",
  "$ref",
  "x".repeat(200),
];

const MARK = "@@odd text@@";

/** A JSON text that is the value with a few things wrong in it, or none. */
export function mutatedJson(dice: Dice, value: unknown): Buffer {
  let tree = structuredClone(value);
  for (let left = dice.pick([0, 0, 1, 1, 3]); left > 0; left -= 1) tree = changed(dice, tree, 0);
  let text = JSON.stringify(tree);
  while (text.includes(`"${MARK}"`)) text = text.replace(`"${MARK}"`, () => dice.pick(ODD_TEXTS));
  return damaged(dice, Buffer.from(text));
}

function changed(dice: Dice, value: unknown, depth: number): unknown {
  const isLeaf = typeof value !== "object" || value === null;
  if (isLeaf || depth > 6 || dice.chance(0.2)) return oddValue(dice);
  if (Array.isArray(value)) {
    const items: unknown[] = [...(value as unknown[])];
    const at = dice.below(items.length + 1);
    items[at] = changed(dice, items[at], depth + 1);
    return dice.chance(0.1) ? items.concat(items) : items;
  }
  const entries = Object.entries(value);
  if (entries.length === 0 || dice.chance(0.25)) {
    return Object.fromEntries([...entries, [dice.pick(ODD_KEYS), oddValue(dice)]]);
  }
  const [key, member] = dice.pick(entries) as [string, unknown];
  const rest = entries.filter(([name]) => name !== key);
  if (dice.chance(0.15)) return Object.fromEntries(rest);
  if (dice.chance(0.1)) return Object.fromEntries([...rest, [dice.pick(ODD_KEYS), member]]);
  return Object.fromEntries([...rest, [key, changed(dice, member, depth + 1)]]);
}

function oddValue(dice: Dice): unknown {
  if (dice.chance(0.25)) return MARK;
  if (dice.chance(0.05)) return nested(1 + dice.below(60));
  return dice.pick(ODD_VALUES);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

const BOM = Buffer.of(0xef, 0xbb, 0xbf);
const NOT_UTF8 = [Buffer.of(0xff), Buffer.of(0xc0, 0xaf), Buffer.of(0xed, 0xa0, 0x80)];

/** Damage below the level of JSON, now and then. */
function damaged(dice: Dice, bytes: Buffer): Buffer {
  if (!dice.chance(0.08)) return bytes;
  const at = dice.below(bytes.length + 1);
  switch (dice.below(6)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), dice.pick(NOT_UTF8), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([BOM, bytes]);
    case 3:
      return Buffer.concat([bytes, bytes]);
    case 4:
      return Buffer.from("[".repeat(1 + dice.below(3_000)));
    default:
      return Buffer.alloc(0);
  }
}
