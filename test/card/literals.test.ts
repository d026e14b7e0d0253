import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { test, type Test } from "tap";
import {
  cString,
  envValue,
  pythonBytes,
  pythonString,
  shellWord,
} from "../../src/http/card/literals.ts";
import { needs, outputOf, PYTHON } from "./programs.ts";

/** What goes wrong in some language, alone and in any mixture. */
const HOSTILE = [
  ...Array.from("'\"\\$`!?%#;&|<>()[]{}*~^=,:@-+ \t\n\r\b\u001b\u007f\u0085\u2028éß温🌡07af"),
  ..."'\\''|\\\"|$(id)|`id`|${HOME}|$HOME|??/|??!|\\n|\\0|\\x41|\\u0041|%s|-n|--|//|/*|*/|'''|\"\"\"|END|EOF".split(
    "|",
  ),
];
const hostile = fc.oneof(
  fc.array(fc.constantFrom(...HOSTILE), { maxLength: 12 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.replaceAll("\0", "")),
);
const TEXTS = 2_000;

/** One program for all of them: each text on its own has to come out as it is. */
function samples(t: Test): readonly string[] {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_007);
  t.comment(`SEED=${seed}`);
  return [...HOSTILE, "", ...fc.sample(hostile, { numRuns: TEXTS, seed })];
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "sluice-card-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** Texts cannot hold NUL: it ends each. */
const split = (output: string): readonly string[] => output.split("\0").slice(0, -1);

await test("a shell takes every word as it is", needs("sh"), (t) => {
  const texts = samples(t);
  const file = join(folder(t), "words.sh");
  writeFileSync(file, texts.map((text) => `printf '%s\\0' ${shellWord(text)}\n`).join(""));
  t.strictSame(split(outputOf(t, ["sh", file])), texts);
  t.end();
});

await test("a shell reads every variable of a file as it is", needs("sh"), (t) => {
  const texts = samples(t);
  const file = join(folder(t), "card.env");
  writeFileSync(file, texts.map((text, n) => `V${n}=${envValue(text)}\n`).join(""));
  const show = texts.map((_, n) => `printf '%s\\0' "$V${n}"`).join("\n");
  t.strictSame(split(outputOf(t, ["sh", "-e"], { input: `. ${file}\n${show}\n` })), texts);
  t.end();
});

await test("a C compiler takes every string as it is, trigraphs and all", needs("gcc"), (t) => {
  const texts = samples(t);
  const path = folder(t);
  const rows = texts.map((text) => `  ${cString(text)},\n`).join("");
  const program = `#include <stdio.h>
static const char *const TEXTS[] = {
${rows}};
int main(void) {
  for (size_t n = 0; n < sizeof TEXTS / sizeof *TEXTS; n++) {
    fputs(TEXTS[n], stdout);
    putchar(0);
  }
}
`;
  writeFileSync(join(path, "texts.c"), program);
  const flags = ["-std=c99", "-trigraphs", "-Wall", "-Werror", "-o", "texts"];
  outputOf(t, ["gcc", ...flags, "texts.c"], { cwd: path });
  t.strictSame(split(outputOf(t, [join(path, "texts")])), texts);
  t.end();
});

await test("Python takes every string and all bytes as they are", needs("python3"), (t) => {
  const texts = samples(t);
  const file = join(folder(t), "texts.py");
  const program = `import sys
TEXTS = [
${texts.map((text) => `    (${pythonString(text)}, ${pythonBytes(text)}),\n`).join("")}]
for text, utf8 in TEXTS:
    assert text.encode() == utf8
    sys.stdout.buffer.write(utf8 + bytes(1))
`;
  writeFileSync(file, program);
  t.strictSame(split(outputOf(t, [PYTHON, file])), texts);
  t.end();
});
