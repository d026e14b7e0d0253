import { readdirSync, readFileSync } from "node:fs";
import { test } from "tap";
import { tableRows } from "./documents.ts";

const DOCUMENT = "docs/testing.md";

await test("docs/testing.md has a row for each suite, and no other", (t) => {
  const heading = ["in `test/`", "what is shown there", "planted, and noticed"];
  const rows = tableRows(DOCUMENT, heading);
  const documented = rows.flatMap(([name = ""]) => /^`(.+)\/`$/.exec(name)?.[1] ?? []);
  const folders = readdirSync("test", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  t.same(documented.sort(), folders.sort());
  for (const [name = "", shown = "", planted = ""] of rows) {
    t.not(shown, "", `${name} says what it shows`);
    t.not(planted, "", `${name} says what it was seen to fail on`);
  }
  t.end();
});

await test("docs/testing.md names each script of package.json, and no other", (t) => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const text = readFileSync(DOCUMENT, "utf8");
  const named = Array.from(
    text.matchAll(/\bnpm (?:run (?:--silent )?)?([a-z][a-z:-]*)/g),
    ([, name = ""]) => name,
  );
  t.same([...new Set(named)].sort(), Object.keys(scripts).sort());
  t.end();
});
