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
  ["admin12345678", /name/],
  ["Factory-GW 2024", /name/],
  ["!!!Sluice!!!!", /name/],
  ["correct horse battery", undefined],
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
