import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { test } from "tap";
import { DROP_CAUSES } from "../src/store/outbox-items.ts";
import { DEFAULT_BOUNDS } from "../src/store/outbox-terms.ts";
import { CHANGE_CLASSES } from "../src/store/keys.ts";
import { UPLINKS_SCHEMA } from "../src/config-uplinks.ts";
import { GIVEN_UPLINK, UPLINK_MEMBERS } from "../src/uplink-members.ts";
import { fencedBlocks, tableRows } from "./documents.ts";

const DOCUMENT = "docs/uplink.md";

await test("docs/uplink.md has a row for each member, as the code has it, and no other", (t) => {
  const rows = tableRows(DOCUMENT, ["member", "default", "expected", "what it is for"]);
  const expected = UPLINK_MEMBERS.map((member) => [
    `\`${member.name}\``,
    member.default === undefined ? "none" : `\`${JSON.stringify(member.default)}\``,
    member.expected,
    member.why,
  ]);
  t.ok(expected.length > 25, "there are members");
  t.same(rows, expected);
  t.end();
});

await test("docs/uplink.md has the bounds of each class, as the code has them", (t) => {
  const rows = tableRows(DOCUMENT, ["class", "rows", "bytes", "age", "rule"]);
  const expected = CHANGE_CLASSES.map((of) => {
    const { rows: most, bytes, ageS, rule } = DEFAULT_BOUNDS[of];
    const age = ageS === 0 ? "none" : `${ageS / 86_400} days`;
    return [`\`${of}\``, most.toLocaleString("en"), `${bytes / 1_048_576} MiB`, age, `\`${rule}\``];
  });
  t.same(rows, expected);
  t.end();
});

await test("docs/uplink.md names each cause of a loss", (t) => {
  const rows = tableRows(DOCUMENT, ["cause", "what happened"]);
  const named = rows.flatMap(([causes = ""]) => causes.split(", "));
  t.same(named.toSorted(), DROP_CAUSES.map((cause) => `\`${cause}\``).toSorted());
  t.end();
});

await test("the uplinks that documents show are taken as they stand", (t) => {
  for (const document of [DOCUMENT, "docs/fleet.md", "docs/configuration.md"]) {
    const tables = fencedBlocks(readFileSync(document, "utf8"))
      .filter(({ language }) => language === "toml")
      .map(({ text }) => parse(text)["uplink"]);
    t.not(tables.length, 0, `${document} shows one`);
    for (const table of tables) t.ok(UPLINKS_SCHEMA.safeParse(table).success, document);
  }
  const [call] = fencedBlocks(readFileSync(DOCUMENT, "utf8")).filter(
    ({ language }) => language === "sh",
  );
  const body = /-d '(\{.*\})'/.exec(call?.text ?? "")?.[1] ?? "";
  t.ok(GIVEN_UPLINK.safeParse(JSON.parse(body)).success, "the one call");
  t.end();
});
