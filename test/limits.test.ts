import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { CONFIG_KEYS } from "../src/config-schema.ts";
import { ERRORS } from "../src/errors.ts";
import { FIXED_LIMITS } from "../src/limits.ts";
import { tableRows } from "./documents.ts";

const DOCUMENT = "docs/limits.md";
const CONFIGURED = tableRows(DOCUMENT, [
  ...["key", "default", "unit", "when it is reached", "what it is for"],
]);
const FIXED = tableRows(DOCUMENT, ["bound", "value", "unit", "when it is reached", "reason"]);

const SOURCES = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join("src", name))
  .map((path) => ({ path, text: readFileSync(path, "utf8") }));

/** The files in which bounds stand. */
const isOfLimits = (path: string): boolean =>
  /^src\/((uplink|tls|access|join)-)?limits\.ts$/.test(path);

/** As TOML: thousands are set apart from 10,000 on. */
function literal(value: number): string {
  return value < 10_000 ? String(value) : String(value).replaceAll(/\B(?=(\d{3})+$)/g, "_");
}

/** Rows without what only the document says: the unit, and what happens. */
const compared = (rows: readonly (readonly string[])[]): readonly string[] =>
  rows.map(([name, value, , , reason]) => `${name ?? ""} ${value ?? ""} ${reason ?? ""}`).sort();

await test("docs/limits.md has a row for each bound of the configuration, and no other", (t) => {
  const expected = CONFIG_KEYS.flatMap(({ section, key, default: value, why }) =>
    typeof value !== "number" || key === "port"
      ? []
      : [`\`${section}.${key}\` \`${literal(value)}\` ${why}`],
  );
  t.ok(expected.length > 30, "there are bounds");
  t.same(compared(CONFIGURED), expected.sort());
  t.end();
});

/** The comment of each fixed bound. */
function fixedReasons(): ReadonlyMap<string, string> {
  const text = SOURCES.filter(({ path }) => isOfLimits(path))
    .map((source) => source.text)
    .join("\n");
  const rows = text.matchAll(/^ {2}\/\*\* (.+) \*\/\n {2}(\w+): [^{\n]+,$/gm);
  return new Map(Array.from(rows, ([, reason = "", name = ""]) => [name, reason]));
}

await test("docs/limits.md has a row for each fixed bound with its reason, and no other", (t) => {
  const reasons = fixedReasons();
  const expected = Object.entries(FIXED_LIMITS).map(
    ([name, value]) => `\`${name}\` \`${literal(value)}\` ${reasons.get(name) ?? "has no reason"}`,
  );
  t.same(compared(FIXED), expected.sort());
  t.end();
});

await test("each bound has a unit, its own if the name says one, and an answer", (t) => {
  const suffixes: readonly (readonly [RegExp, unit: string])[] = [
    [/(_bytes|Bytes(Max|Clean|Unclean)?)$/, "bytes"],
    [/(_ms|Ms(Max)?)$/, "ms"],
    [/(_s|S(Max)?)$/, "s"],
    [/_days$/, "days"],
    [/_mb$/, "MiB"],
  ];
  for (const [cell = "", , unit = "", reached = ""] of [...CONFIGURED, ...FIXED]) {
    const name = cell.replaceAll("`", "");
    const named = suffixes.find(([suffix]) => suffix.test(name))?.[1];
    t.equal(unit, named ?? unit, name);
    t.not(unit, "", `${name} has a unit`);
    t.not(reached, "", `${name} has an answer to what happens when it is reached`);
  }
  t.end();
});

await test("the codes that docs/limits.md names are codes", (t) => {
  const named = [...CONFIGURED, ...FIXED].flatMap(([, , , reached = ""]) =>
    Array.from(reached.matchAll(/`([a-z]+(?:-[a-z]+)*)`/g), ([, code = ""]) => code),
  );
  t.ok(named.length > 10, "codes were found");
  const others = new Set(["timeout", "failed"]);
  t.same(
    [...new Set(named)].filter((code) => !(code in ERRORS) && !others.has(code)),
    [],
  );
  t.end();
});

await test("each fixed bound binds something", (t) => {
  const elsewhere = SOURCES.filter(({ path }) => !isOfLimits(path));
  for (const name of Object.keys(FIXED_LIMITS)) {
    const isUsed = elsewhere.some(({ text }) => new RegExp(`\\b${name}\\b`).test(text));
    t.ok(isUsed, `${name} is used`);
  }
  t.end();
});

/** Constants named as bounds that do not come from `limits.ts`. */
function boundsIn(text: string): readonly string[] {
  const constants = text.matchAll(
    /\bconst ([A-Z0-9_]*(?:MAX|LIMIT)(?:_[A-Z]+)*)\b[^=\n]*= (.*)$/gm,
  );
  return Array.from(constants, ([, name = "", value = ""]) => ({ name, value }))
    .filter(({ value }) => !value.includes("LIMITS"))
    .map(({ name }) => name);
}

await test("no bound stands outside of limits.ts but those that others set", (t) => {
  t.same(boundsIn("const QUEUE_MAX = 10;\nconst LIMIT_DEFAULT: number = 5;"), [
    ...["QUEUE_MAX", "LIMIT_DEFAULT"],
  ]);
  t.same(boundsIn("const QUEUE_MAX = FIXED_LIMITS.queueMax;"), [], "an alias is none");
  const found = SOURCES.filter(({ path }) => !isOfLimits(path)).flatMap(({ path, text }) =>
    boundsIn(text).map((name) => `\`${name}\` [\`${path}\`](../${path})`),
  );
  const rows = tableRows(DOCUMENT, ["constant", "where", "what sets it"]);
  const documented = rows.map(([name = "", where = ""]) => `${name} ${where}`);
  t.same(documented.sort(), [...found].sort());
  t.end();
});
