#!/usr/bin/env node
import { isPartOf, parseOptions, USAGE, type Options } from "./options.ts";
import { killPrograms } from "./processes.ts";
import { printProfile } from "./profile.ts";
import { readResults, writeResults, type Results, type RowResult } from "./results.ts";
import { tableOf } from "./report.ts";
import type { Bench, Finding } from "./rounds.ts";
import { disk } from "./rows/disk.ts";
import { durable } from "./rows/durable.ts";
import { frozen } from "./rows/frozen.ts";
import type { Group, Measured } from "./rows/group.ts";
import { http } from "./rows/http.ts";
import { memory } from "./rows/memory.ts";
import { outbox } from "./rows/outbox.ts";
import { persistent } from "./rows/persistent.ts";
import { plain } from "./rows/plain.ts";
import { retained } from "./rows/retained.ts";
import { start } from "./rows/start.ts";
import { sync } from "./rows/sync.ts";
import { ROWS } from "./rows/table.ts";
import { removeTemporaryFolders } from "./targets/target.ts";

const GROUPS: readonly Group[] = [
  durable,
  plain,
  persistent,
  sync,
  disk,
  frozen,
  retained,
  outbox,
  memory,
  start,
  http,
];

/** Long enough for V8 to have compiled what is measured. */
const WARMUP_MS_MAX = 3_000;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
process.on("exit", () => {
  killPrograms();
  removeTemporaryFolders();
});
process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n\n${USAGE}`);
    return 64;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const measureMs = options.seconds * 1_000;
  const bench: Bench = {
    rounds: options.rounds,
    measureMs,
    warmupMs: Math.min(measureMs / 2, WARMUP_MS_MAX),
    say: (text) => void process.stderr.write(`${text}\n`),
  };
  if (options.profile) await printProfile(bench);
  else await runAndReport(bench, options);
  return 0;
}

async function runAndReport(bench: Bench, options: Options): Promise<void> {
  const before = readResults(options.out);
  const results: Results = { ...before, rows: { ...before.rows }, details: { ...before.details } };
  for (const group of GROUPS) {
    const wanted = ROWS.filter(({ id }) => isPartOf(id, group.name) && isWanted(id, options));
    if (wanted.length === 0) continue;
    bench.say(`--- ${group.name}`);
    const parts = new Set(wanted.map(({ id }) => id.slice(group.name.length + 1)));
    const { findings, details } = await measured(bench, group, parts);
    for (const part of parts) {
      const finding = findings[part] ?? { because: "not measured" };
      results.rows[`${group.name}/${part}`] = rowResult(bench, finding);
    }
    if (details.length > 0) results.details[group.name] = details;
    // After each group, so that what was measured is there even if the next never ends.
    writeResults(options.out, results);
  }
  const shown = options.json
    ? `${JSON.stringify(results, undefined, 2)}\n`
    : tableOf(
        results,
        ROWS.filter(({ id }) => isWanted(id, options)),
      );
  process.stdout.write(shown);
}

function isWanted(id: string, { only }: Options): boolean {
  return only.length === 0 || only.some((name) => isPartOf(id, name));
}

/** One group that fails does not stop the others: its rows say why. */
async function measured(
  bench: Bench,
  group: Group,
  wanted: ReadonlySet<string>,
): Promise<Measured> {
  try {
    return await group.measure(bench, wanted);
  } catch (error) {
    const because = messageOf(error);
    bench.say(`${group.name} failed: ${because}`);
    const findings = [...wanted].map((part): readonly [string, Finding] => [part, { because }]);
    return { findings: Object.fromEntries(findings), details: [] };
  }
}

function rowResult(bench: Bench, finding: Finding): RowResult {
  const date = new Date().toISOString();
  return { ...finding, date, seconds: bench.measureMs / 1_000 };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
