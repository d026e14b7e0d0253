import { existsSync, readFileSync } from "node:fs";
import { test } from "tap";

const TEXT = readFileSync("docs/standards.md", "utf8");
const ROW = /^\| (.+?) \| (met|partly|not met|n\. a\.) \| (.*) \|$/;

await test("each row of docs/standards.md has a verdict, and what is met names what is there", (t) => {
  const rows = TEXT.split("\n").filter((line) => /^\| (\d|CR|V\d)/.test(line));
  t.ok(rows.length > 100, "the rows are found");
  for (const row of rows) {
    const [, what = row, verdict, evidence = ""] = ROW.exec(row) ?? [];
    t.ok(verdict, what);
    if (verdict === "partly" || verdict === "not met") t.ok(evidence.length > 10, `${what}: why`);
  }
  t.end();
});

await test("each test that docs/standards.md names is there", (t) => {
  const named = new Set(Array.from(TEXT.matchAll(/`(test\/[^`]+)`/g), ([, path = ""]) => path));
  t.ok(named.size > 20, "they are found");
  for (const path of named) t.ok(existsSync(path), path);
  t.end();
});
