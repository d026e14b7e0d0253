import { test } from "tap";
import { COMMON_PASSWORDS, COMMON_STEMS } from "../src/common-passwords.ts";
import { passwordFault } from "../src/password-policy.ts";

const NAMES = ["admin", "site", "factory-gw", "sluice"];

/** A password, and what is said of it; nothing: it is taken. */
const PASSWORDS: readonly (readonly [password: string, fault: RegExp | undefined])[] = [
  ["", /at least 10/],
  ["ninechars", /at least 10/],
  ["💡💡💡💡💡💡💡💡💡", /at least 10/],
  ["x9".repeat(129), /at most 256 bytes/],
  ["tab\tinside it", /control/],
  ["nul\0inside it", /control/],
  ["half \ud800 a pair", /control/],
  ["1234567890", /commonest/],
  ["QwertyUiop", /commonest/],
  ["password123", /commonest/],
  ["Password2024!", /commonest/],
  ["2024-dragon-2024", /commonest/],
  ["aaaaaaaaaaaaaaaaa", /sequence|over/],
  ["abcabcabcabcabc", /over and over/],
  ["ABCDEFGHIJKLMN", /sequence/],
  ["23456789012345", /sequence/],
  ["98765432109876", /sequence/],
  ["p4ssw0rd2024", /commonest/],
  ["$ummer2024!", /commonest/],
  ["dragonmonkey", /commonest/],
  ["Summer-Winter-25", /commonest/],
  ["Welcome2Gateway", /commonest/],
  ["Raspberry4!", /commonest/],
  ["3edc4rfv5tgb", /keyboard/],
  ["asdf1234jkl", /keyboard/],
  ["yxcvbnm12345", /keyboard/],
  ["poiuytrewq", /commonest|keyboard/],
  ["abcdef123456", /keyboard/],
  ["kettlekettle", /over and over/],
  ["4711-4711-4711-", /over and over/],
  ["factory-gw 2025", /name/],
  ["Factory-GW 2024", /name/],
  ["!!!Sluice!!!!", /name/],
  ["correct horse battery", undefined],
  ["kettle orbit kettle", undefined],
  ["summer kettle 25", undefined],
  ["qwerty and a boiler house", undefined],
  ["abcXdefYghiZ", undefined],
  ["a4 landscape p7", undefined],
  ["administratorin", undefined],
  ["grün-Hammer-41", undefined],
  ["tr0ub4dor&3xyz", undefined],
  ["kühlwasser 3 auf", undefined],
];

await test("a password is taken unless it is short, common, a sequence or a name", (t) => {
  for (const [password, fault] of PASSWORDS) {
    const said = passwordFault(password, NAMES);
    const name = JSON.stringify(password.slice(0, 30));
    if (fault === undefined) t.equal(said, undefined, name);
    else t.match(said ?? "nothing", fault, name);
  }
  t.end();
});

await test("what guessers make of the commonest words by rules is refused, and more than 3,000 of it", (t) => {
  const made = [...COMMON_STEMS].flatMap((stem) => [
    ...["12345", "2024!", "123!@#", "1234567"].map((behind) => stem + behind),
    ...[`${stem}${stem}`, `!!${stem}2025`, `2025-${stem}`, `${stem.toUpperCase()}_00001`],
    ...[
      `${stem}summer`,
      `${stem.replaceAll("e", "3").replaceAll("o", "0")}x9999`.replace("x9", "99"),
    ],
  ]);
  const long = made.filter((password) => password.length >= 10);
  t.ok(long.length > 3_000, String(long.length));
  t.same(
    long.filter((password) => passwordFault(password, []) === undefined),
    [],
  );
  t.end();
});

await test("what is said of a password does not say it", (t) => {
  for (const [password] of PASSWORDS.filter(([given]) => given.length >= 9)) {
    t.notOk(passwordFault(password, NAMES)?.includes(password), password);
  }
  t.end();
});

await test("the list is whole: each of its passwords is long and refused", (t) => {
  t.ok(COMMON_PASSWORDS.size > 1_000 && COMMON_STEMS.size === 400);
  for (const password of COMMON_PASSWORDS) {
    if (password.length < 10 || passwordFault(password, []) === undefined) t.fail(password);
  }
  for (const stem of COMMON_STEMS) {
    if (!/^[a-z]{5,9}$/.test(stem) || passwordFault(`${stem}20241`, []) === undefined) t.fail(stem);
  }
  t.end();
});
