import { readFileSync } from "node:fs";
import { test } from "tap";
import { PLANTED_FAULTS } from "./faults-planted.ts";

await test("each fault that can be planted has its place in the code, and but one", (t) => {
  for (const [name, { file, right }] of Object.entries(PLANTED_FAULTS)) {
    const text = readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
    t.equal(text.split(right).length - 1, 1, name);
  }
  t.end();
});
