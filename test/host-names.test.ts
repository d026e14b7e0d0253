import { test } from "tap";
import { hostNames } from "../src/host-names.ts";

const NAMES: readonly (readonly [own: string, given: readonly string[], names: string[]])[] = [
  ["gw-7f3a", [], ["gw-7f3a", "gw-7f3a.local"]],
  ["GW.Plant.example", [], ["gw.plant.example", "gw", "gw.local"]],
  ["gw.local", [], ["gw.local", "gw"]],
  ["gw", ["Line1.example"], ["gw", "gw.local", "line1.example"]],
  ["", ["line1"], ["line1"]],
];

await test("a machine goes by its host name, the same under .local, and what it is given", (t) => {
  for (const [own, given, names] of NAMES) t.same([...hostNames(given, own)], names, own);
  t.end();
});
