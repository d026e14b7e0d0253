import { test } from "tap";
import { groupedCode, isClaimCode, makeClaimCode } from "../src/claim-code.ts";
import { seededRandom } from "./store/random.ts";

await test("a code is 12 characters of base32, of which no two look alike, in groups of four", (t) => {
  const random = seededRandom(11);
  const codes = Array.from({ length: 500 }, () => makeClaimCode(random));
  for (const code of codes) {
    t.match(code, /^[A-Z2-7]{12}$/);
    t.match(groupedCode(code), /^[A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4}$/);
  }
  t.equal(new Set(codes).size, 500);
  t.equal(new Set(codes.join("")).size, 31, "each letter occurs, and no L");
  t.notOk(codes.join("").includes("L"));
  t.end();
});

await test("a code is known however it is typed, and no other is", (t) => {
  const code = "OIB2ABCDEF7I";
  for (const typed of [
    "OIB2ABCDEF7I",
    "OIB2-ABCD-EF7I",
    "oib2-abcd-ef7i",
    " oib2 abcd ef7i\n",
    "0182-abcd-ef71",
    "0lB2—ABCD–EF7l",
    "O I B 2 A B C D E F 7 I",
  ]) {
    t.equal(isClaimCode(typed, code), true, JSON.stringify(typed));
  }
  for (const typed of [
    "",
    "OIB2ABCDEF7",
    "OIB2ABCDEF7II",
    "OIB2ABCDEF7J",
    "AIB2ABCDEF7I",
    "OIB2ABCDEF7I\0",
    "ÖIB2ABCDEF7I",
    "-".repeat(1_000_000),
    `${" ".repeat(200)}OIB2ABCDEF7I`,
  ]) {
    t.equal(isClaimCode(typed, code), false, JSON.stringify(typed.slice(0, 30)));
  }
  t.end();
});
