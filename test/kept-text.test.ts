import { test } from "tap";
import { keptText } from "../src/kept-text.ts";

const MEGABYTE = 1_000_000;

await test("a text is cut, and one that is short enough is left as it is", (t) => {
  t.equal(keptText("pump", 4), "pump");
  t.equal(keptText("pumpe", 4), "pump");
  t.equal(keptText("ü€😀x", 3), "ü€😀".slice(0, 3), "half a pair stays half a pair");
  t.end();
});

await test("of a long text no more is kept in memory than what is left of it", (t) => {
  const before = process.memoryUsage().heapUsed;
  const kept: string[] = [];
  for (let n = 0; n < 300; n += 1) {
    // Flat, as what comes from a socket is: concatenated ones are cut in another way.
    const text = Buffer.alloc(MEGABYTE, `${n} of many `).toString("latin1");
    kept.push(keptText(text, 256));
  }
  t.equal(new Set(kept).size, 300);
  t.ok(process.memoryUsage().heapUsed - before < 100 * MEGABYTE, "300 MB have gone by");
  t.end();
});
