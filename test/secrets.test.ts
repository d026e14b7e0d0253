import { scryptSync } from "node:crypto";
import { test } from "tap";
import * as secrets from "../src/secrets.ts";
import { seededRandom } from "./store/random.ts";
import { countStretches } from "./stretches.ts";

const random = seededRandom(3);

await test("a generated user is 11 small letters and digits, a password what is safe to quote", (t) => {
  const users = new Set<string>();
  const letters = new Set<string>();
  for (let round = 0; round < 100; round += 1) {
    const user = secrets.generateUser(random);
    t.match(user, /^[a-z0-9]{11}$/);
    users.add(user);
    const password = secrets.generatePassword(random);
    t.match(password, /^[A-Za-z0-9!#$%*+\-=@^_~.:]{24}$/);
    t.match(password, /[A-Za-z]/);
    t.match(password, /[0-9]/);
    t.match(password, /[^A-Za-z0-9]/);
    for (const letter of password) letters.add(letter);
  }
  t.equal(users.size, 100);
  t.ok(letters.size > 60, "all letters occur");
  t.notOk(/['"\\?`\s]/.test([...letters].join("")));
  t.end();
});

await test("letters are drawn evenly: bytes beyond the last whole multiple are thrown away", (t) => {
  const counts = new Map<string, number>();
  for (let round = 0; round < 5_000; round += 1) {
    for (const letter of secrets.generateUser(random)) {
      counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }
  }
  const expected = (5_000 * 11) / 36;
  t.equal(counts.size, 36);
  for (const [letter, count] of counts) {
    t.ok(Math.abs(count - expected) < 4 * Math.sqrt(expected), `${letter}: ${count}`);
  }
  t.end();
});

await test("a token is slu_ and 192 bits", (t) => {
  const tokens = Array.from({ length: 100 }, () => secrets.generateToken(random));
  for (const token of tokens) t.match(token, /^slu_[A-Za-z0-9_-]{32}$/);
  t.equal(new Set(tokens).size, 100);
  t.end();
});

await test("a secret matches its hash and no other, generated or chosen", async (t) => {
  for (const secret of ["", "💡 pass\u00adword"]) {
    const generated = secrets.hashGenerated(secret, random);
    const chosen = await secrets.hashChosen(secret, random);
    t.equal(generated.kind, "sha256");
    t.equal(chosen.kind, "scrypt");
    for (const stored of [generated, chosen]) {
      t.equal(await secrets.isSecret(secret, stored), true);
      t.equal(await secrets.isSecret(`${secret} `, stored), false);
      t.notOk(JSON.stringify(stored).includes(secret) && secret !== "");
    }
    t.equal(secrets.isGeneratedSecret(secret, generated), true);
    t.equal(secrets.isGeneratedSecret(`${secret}x`, generated), false);
    t.equal(secrets.isGeneratedSecret(secret, chosen), false, "not looked at without stretching");
  }
});

await test("two hashes of one secret have nothing in common", (t) => {
  const first = secrets.hashGenerated("s", random);
  const second = secrets.hashGenerated("s", random);
  t.not(first.salt, second.salt);
  t.not(first.hash, second.hash);
  t.equal(secrets.lookupDigest("s"), secrets.lookupDigest("s"));
  t.not(secrets.lookupDigest("s"), secrets.lookupDigest("t"));
  t.end();
});

await test("many passwords at once are all stretched, two at a time", async (t) => {
  const stored = await secrets.hashChosen("right", random);
  const guesses = ["right", "wrong", "right", "wrong", "right"];
  const stretches = await countStretches(async () => {
    const answers = await Promise.all(
      guesses.map(async (guess) => secrets.isSecret(guess, stored)),
    );
    t.same(
      answers,
      guesses.map((guess) => guess === "right"),
    );
  });
  t.same(stretches, { count: 5, atOnceMax: 2 });
});

await test("a person's password becomes a PHC string, which it matches and no other does", async (t) => {
  const phc = await secrets.hashPassword("kühlwasser 3 auf", random);
  t.match(phc, /^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  t.not(await secrets.hashPassword("kühlwasser 3 auf", random), phc, "salted");
  t.equal(await secrets.isPassword("kühlwasser 3 auf", phc), true);
  t.equal(
    await secrets.isPassword("ku\u0308hlwasser 3 auf", phc),
    true,
    "typed on another keyboard",
  );
  t.equal(await secrets.isPassword("kuhlwasser 3 auf", phc), false);
  for (const broken of [
    "",
    "$scrypt$",
    phc.slice(0, -1),
    phc.replace("ln=15", "ln=30"),
    `${phc}=`,
  ]) {
    t.equal(await secrets.isPassword("kühlwasser 3 auf", broken), false, broken);
  }
});

await test("the PHC string is what RFC 7914 says: scrypt of the password and the bytes of the salt", async (t) => {
  const phc = await secrets.hashPassword("pleaseletmein", random);
  const [, , , salt = "", hash] = phc.split("$");
  const options = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };
  const expected = scryptSync("pleaseletmein", Buffer.from(salt, "base64"), 32, options);
  t.equal(hash, expected.toString("base64").replace("=", ""));
});
