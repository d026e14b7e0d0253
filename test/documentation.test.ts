import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { CONFIG_KEYS } from "../src/config-schema.ts";
import { ERRORS } from "../src/errors.ts";
import { EXIT } from "../src/start-error.ts";
import { tableRows } from "./documents.ts";

const sorted = (rows: readonly (readonly string[])[]): readonly string[] =>
  rows.map((row) => row.join(" | ")).sort();

await test("docs/errors.md has a row for each code, as the code has it, and no other", (t) => {
  const expected = Object.entries(ERRORS).map(([code, row]) => [
    `\`${code}\``,
    String(row.status),
    row.title,
    row.mqtt,
    row.remedy,
  ]);
  const rows = tableRows("docs/errors.md", ["code", "status", "title", "MQTT", "what to do"]);
  t.same(sorted(rows), sorted(expected));
  t.end();
});

await test("docs/configuration.md has a row for each key, as the code has it, and no other", (t) => {
  const expected = CONFIG_KEYS.map((row) => [
    `\`${row.section}.${row.key}\``,
    row.default === undefined ? "none" : `\`${literal(row.default)}\``,
    row.expected,
    row.why,
  ]);
  const heading = ["key", "default", "expected", "what it is for"];
  t.same(sorted(tableRows("docs/configuration.md", heading)), sorted(expected));
  t.end();
});

/** As TOML: thousands are set apart from 10,000 on. */
function literal(value: unknown): string {
  if (typeof value !== "number" || value < 10_000) return JSON.stringify(value);
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, "_");
}

await test("docs/operations.md has a row for each exit code, and no other", (t) => {
  const rows = tableRows("docs/operations.md", ["code", "meaning", "what to do"]);
  const codes = Object.values(EXIT).map((code) => [String(code)]);
  t.same(sorted(rows.map(([code = ""]) => [code])), sorted(codes));
  t.end();
});

await test("every relative link in the documents leads somewhere", (t) => {
  for (const file of filesBelow(".").filter((name) => name.endsWith(".md"))) {
    const text = readFileSync(file, "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const linked = path === "" ? file : join(file, "..", path);
      const isThere = existsSync(linked);
      const hasAnchor = anchor === undefined || (isThere && anchorsOf(linked).has(anchor));
      t.ok(isThere && hasAnchor, `${file} links to ${target}`);
    }
  }
  t.end();
});

/** As GitHub makes them of headings. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm);
  return new Set(
    Array.from(headings, ([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

await test("decision records have a number each, and a title that says so", (t) => {
  const names = readdirSync("docs/adr").sort();
  for (const name of names) t.match(name, /^\d{4}-[a-z0-9-]+\.md$/);
  const numbers = names.map((name) => name.slice(0, 4));
  t.same(numbers, [...new Set(numbers)], "no number is used twice");
  for (const name of names) {
    const [title = ""] = readFileSync(join("docs/adr", name), "utf8").split("\n");
    t.ok(title.startsWith("# "), `${name} begins with a title`);
  }
  t.end();
});

const UNFINISHED = new RegExp(["TO", "DO|FIX", "ME|XX", "X\\b"].join(""));

await test("nothing is left for later in the text of the repository", (t) => {
  t.match("// TO" + "DO: later", UNFINISHED, "a mark would be seen");
  for (const file of filesBelow(".")) {
    t.notMatch(readFileSync(file, "utf8"), UNFINISHED, file);
  }
  t.end();
});

await test("the lock file names no place to download from", (t) => {
  t.notMatch(readFileSync("package-lock.json", "utf8"), /"resolved"/);
  t.end();
});

/** Text written by us: what is generated or downloaded is left out. */
function filesBelow(folder: string): readonly string[] {
  const skipped = ["node_modules", "build", "data", ".git", ".tap", "package-lock.json"];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !skipped.includes(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path);
      return entry.isFile() && /\.(ts|js|md|toml|sh|service|json|html)$/.test(entry.name)
        ? [path]
        : [];
    });
}
