import { test } from "tap";
await test("the toolchain runs a test", (t) => {
  t.equal(1, 1);
  t.end();
});
