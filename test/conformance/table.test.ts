import { readdirSync, readFileSync } from "node:fs";
import { test } from "tap";

const FOLDER = "test/conformance";
const TABLE = "docs/mqtt-conformance.md";

/** Numbered statements by section, MQTT 3.1.1 Appendix B. */
const COUNTS: Readonly<Record<string, number>> = {
  "1.5.3": 3,
  "2.2.2": 2,
  "2.3.1": 7,
  "3.1.0": 2,
  "3.1.2": 24,
  "3.1.3": 11,
  "3.1.4": 5,
  "3.2.0": 1,
  "3.2.2": 6,
  "3.3.1": 12,
  "3.3.2": 3,
  "3.3.4": 1,
  "3.3.5": 2,
  "3.6.1": 1,
  "3.8.1": 1,
  "3.8.3": 4,
  "3.8.4": 6,
  "3.9.3": 2,
  "3.10.1": 1,
  "3.10.3": 2,
  "3.10.4": 6,
  "3.12.4": 1,
  "3.14.1": 1,
  "3.14.4": 3,
  "4.1.0": 2,
  "4.3.1": 1,
  "4.3.2": 2,
  "4.3.3": 2,
  "4.4.0": 1,
  "4.5.0": 2,
  "4.6.0": 6,
  "4.7.1": 3,
  "4.7.2": 1,
  "4.7.3": 4,
  "4.8.0": 2,
  "6.0.0": 4,
  "7.0.0": 2,
  "7.1.1": 1,
  "7.1.2": 1,
};

/** The standard prints one number with a hyphen too many, and everybody cites it so. */
const MISPRINTED: Readonly<Record<string, string>> = { "3.8.3-4": "3-8.3-4" };

const STATEMENTS = Object.entries(COUNTS).flatMap(([section, count]) =>
  Array.from({ length: count }, (_, at) => {
    const number = `${section}-${at + 1}`;
    return `[MQTT-${MISPRINTED[number] ?? number}]`;
  }),
);

type Row = {
  readonly statement: string;
  readonly what: string;
  readonly who: string;
  /** `file: title` of each test; none where the cell says why there is none. */
  readonly tests: readonly string[];
  readonly reason: string;
};

function readRows(): readonly Row[] {
  const text = readFileSync(TABLE, "utf8");
  const lines = text.slice(text.indexOf("## Statements")).split("\n");
  return lines
    .filter((line) => line.startsWith("| [MQTT-"))
    .map((line) => {
      const [statement = "", what = "", who = "", cell = ""] = line.slice(2, -2).split(" | ");
      const isReason = cell.startsWith("— ");
      const tests = isReason ? [] : cell.split("<br>").map((test) => test.replaceAll("`", ""));
      return { statement, what, who, tests, reason: isReason ? cell.slice(2) : "" };
    });
}

/** `statement <- file: title` of each statement that a test title names. */
function namedByTests(): readonly string[] {
  return readdirSync(FOLDER)
    .filter((file) => /^\d\d-.*\.test\.ts$/.test(file))
    .flatMap((file) => {
      const source = readFileSync(`${FOLDER}/${file}`, "utf8");
      const titles = Array.from(
        source.matchAll(/await test\(\s*"([^"]+)"/g),
        ([, title = ""]) => title,
      );
      return titles.flatMap((title) => {
        const [sentence = "", ...clauses] = title.split(/ (?=\[MQTT-)/);
        return clauses.map((clause) => `${clause} <- ${file.replace(".test.ts", "")}: ${sentence}`);
      });
    });
}

await test("the table has a row for each of the 141 statements, in their order", (t) => {
  t.equal(STATEMENTS.length, 141);
  t.same(
    readRows().map(({ statement }) => statement),
    STATEMENTS,
  );
  t.end();
});

await test("the table names the tests that name a statement, and no other", (t) => {
  const named = readRows().flatMap(({ statement, tests }) =>
    tests.map((title) => `${statement} <- ${title}`),
  );
  t.same([...named].sort(), [...namedByTests()].sort());
  t.end();
});

await test("every statement that binds a server has a test, but for those of WebSocket and bridges", (t) => {
  const untested = readRows().filter(({ tests }) => tests.length === 0);
  for (const { statement, reason } of untested) t.ok(reason.length > 10, `${statement}: ${reason}`);
  const ofServers = untested.filter(({ who }) => who !== "client");
  t.same(
    ofServers.map(({ statement }) => statement),
    ["[MQTT-6.0.0-1]", "[MQTT-6.0.0-2]", "[MQTT-6.0.0-4]", "[MQTT-7.0.0-1]"],
  );
  t.end();
});

await test("every test of a clause cites one", (t) => {
  for (const file of readdirSync(FOLDER).filter((name) => /^\d\d-.*\.test\.ts$/.test(name))) {
    const source = readFileSync(`${FOLDER}/${file}`, "utf8");
    const titles = Array.from(
      source.matchAll(/await test\(\s*"([^"]+)"/g),
      ([, title = ""]) => title,
    );
    t.ok(titles.length > 0, file);
    for (const title of titles) t.match(title, / \[MQTT-[0-9.-]+\]$/, title);
  }
  t.end();
});
