import type { Machine, Results, RowResult } from "./results.ts";
import type { Detail } from "./rows/group.ts";
import { ROWS, type Row } from "./rows/table.ts";

/** From here on the document is a person's. */
const BY_HAND = "## Where the time goes";

/** The whole document. `before` is the one it replaces: its part that was written by hand stays. */
export function documentOf(results: Results, before: string): string {
  const at = before.indexOf(BY_HAND);
  const byHand = at < 0 ? `${BY_HAND}\n` : before.slice(at);
  return [
    "# Results",
    "",
    "Written by `npm run bench`; how each row is measured stands in [README.md](README.md). Each",
    "value is the median of its rounds, in brackets the least and the most. Ratios are of one",
    "interleaved round; times and sizes are this machine's.",
    "",
    ...machineLines(results.machine),
    "",
    tableOf(results),
    "## Details",
    "",
    "Medians. Latencies at saturation are queueing: the window is closed. A generator near 100 % of",
    "its core would be the bottleneck; at a fixed rate it spins, and is.",
    "",
    ...Object.entries(results.details).flatMap(([group, details]) => [
      `### ${group}`,
      "",
      ...detailLines(details),
      "",
    ]),
    byHand,
  ].join("\n");
}

/** The numbers to reach and what was measured of them. */
export function tableOf(results: Results, rows: readonly Row[] = ROWS): string {
  const lines = rows.map((row) => {
    const result = results.rows[row.id];
    return cells([
      row.what,
      valueText(row, result),
      numberText(row, row.firstStep),
      numberText(row, row.goal),
      row.known,
      verdictOf(row, result),
      result?.date.slice(0, 16).replace("T", " ") ?? "",
    ]);
  });
  const head = ["what", "measured", "first step", "goal", "known before", "reached", "when (UTC)"];
  return [cells(head), cells(head.map(() => "---")), ...lines, ""].join("\n");
}

/** How far a row has come. */
export function verdictOf(row: Row, result: RowResult | undefined): string {
  if (result === undefined || "because" in result) return "";
  const { median } = result.spread;
  const reaches = (bound: number): boolean =>
    row.better === "more" ? median >= bound : median <= bound;
  const disturbed =
    result.disturbed === 0 ? "" : `, ${result.disturbed} of ${result.rounds} rounds disturbed`;
  if (reaches(row.goal)) return `goal${disturbed}`;
  return (reaches(row.firstStep) ? "first step" : "**short**") + disturbed;
}

function valueText(row: Row, result: RowResult | undefined): string {
  if (result === undefined) return "not measured";
  if ("because" in result) {
    const [firstLine = ""] = result.because.split("\n");
    return firstLine.startsWith("not yet") ? "not yet" : `not measured: ${firstLine.slice(0, 120)}`;
  }
  const { median, min, max } = result.spread;
  const value = numberText(row, median);
  if (result.rounds === 1) return `${value} (1 round)`;
  return `${value} (${numberText(row, min)}–${numberText(row, max)})`;
}

function numberText({ unit }: Row, value: number): string {
  switch (unit) {
    case "ratio":
      return value.toFixed(2);
    case "ms":
      return `${value.toFixed(2)} ms`;
    case "s":
      return `${value.toFixed(2)} s`;
    case "MB":
      return `${Math.round(value)} MB`;
    case "bytes":
    case "count":
    case "messages":
      return String(Math.round(value));
  }
}

function machineLines({ hardware, fileSystem, cores, versions }: Machine): readonly string[] {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- machine: ${hardware}; temporary files on ${fileSystem}`,
    `- cores: ${cores}`,
    `- versions: ${list.join(", ")}`,
  ];
}

function detailLines(details: readonly Detail[]): readonly string[] {
  const columns = [...new Set(details.flatMap((detail) => Object.keys(detail)))];
  const lines = details.map((detail) =>
    cells(columns.map((column) => String(detail[column] ?? ""))),
  );
  return [cells(columns), cells(columns.map(() => "---")), ...lines];
}

function cells(values: readonly string[]): string {
  return `| ${values.map((value) => value.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}
