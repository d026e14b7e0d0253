import fc from "fast-check";
import { test } from "tap";
import { seal, unseal } from "../../src/store/seal.ts";

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const pair = fc.tuple(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), text);

await test("what was sealed under a key is read under that key", (t) => {
  fc.assert(
    fc.property(pair, ([key, content]) => {
      t.equal(unseal(key, seal(key, content)), content);
    }),
    { seed: 45, numRuns: 200 },
  );
  t.equal(unseal("a:b", seal("a:b", "")), "", "an empty row has a checksum too");
  t.end();
});

await test("a flipped bit, a cut row and a row in another's place are found", (t) => {
  const key = "s:000001temperature";
  const row = seal(key, '{"value":"a text of some length 💡","at":7,"sequence":12}');
  fc.assert(
    fc.property(fc.nat(row.length - 1), fc.nat(6), (at, bit) => {
      const flipped = String.fromCharCode(row.charCodeAt(at) ^ (1 << bit));
      t.equal(unseal(key, row.slice(0, at) + flipped + row.slice(at + 1)), undefined);
    }),
    { seed: 43, numRuns: 200 },
  );
  for (const cut of ["", row.slice(0, 4), row.slice(0, 7), row.slice(0, -1), `${row} `]) {
    t.equal(unseal(key, cut), undefined);
  }
  t.equal(unseal("s:000001temperaturf", row), undefined);
  t.equal(unseal("s:000002temperature", row), undefined);
  t.end();
});
