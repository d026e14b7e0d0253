import { readFileSync } from "node:fs";

/** A fenced block of a document: ```language … ```. */
export type FencedBlock = { readonly language: string; readonly text: string };

/** The text below a heading of level two, up to the next one. Empty if there is none. */
export function sectionOf(file: string, heading: string): string {
  const [, ...sections] = readFileSync(file, "utf8").split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  return section?.slice(heading.length + 1) ?? "";
}

/** The fenced blocks of a text, in its order. */
export function fencedBlocks(text: string): readonly FencedBlock[] {
  return Array.from(
    text.matchAll(/^```([a-z]*)\n(.*?)^```$/gms),
    ([, language = "", body = ""]) => ({ language, text: body }),
  );
}

/** The cells below the heading row, row by row; of every such table in the file. */
export function tableRows(
  file: string,
  heading: readonly string[],
): readonly (readonly string[])[] {
  const rows: (readonly string[])[] = [];
  let isInside = false;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const cells = line.startsWith("|") ? cellsOf(line) : undefined;
    if (cells === undefined) isInside = false;
    else if (cells.join("|") === heading.join("|")) isInside = true;
    else if (isInside && !cells.every((cell) => /^-+$/.test(cell))) rows.push(cells);
  }
  return rows;
}

function cellsOf(line: string): readonly string[] {
  const cells = line.split(/(?<!\\)\|/).slice(1, -1);
  return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/**
 * What an output has to match that a document shows: `…` stands for what differs each time, and
 * never reaches over a quotation mark or a line; `,…}` stands for further members.
 */
export function outputPattern(shown: string): RegExp {
  const escaped = shown.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const source = escaped.replaceAll(",…\\}", ",[^\\n]+\\}").replaceAll("…", '[^"\\n]+');
  return new RegExp(`^${source}$`);
}
