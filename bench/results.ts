import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeMachine, fileSystemOf } from "./machine.ts";
import { isPinned } from "./processes.ts";
import { documentOf } from "./report.ts";
import type { Finding } from "./rounds.ts";
import type { Detail } from "./rows/group.ts";
import { aedes } from "./targets/aedes.ts";
import { mosquitto } from "./targets/mosquitto.ts";
import { nats } from "./targets/nats.ts";
import { rabbitmq } from "./targets/rabbitmq.ts";
import { sluice } from "./targets/sluice.ts";

export type RowResult = Finding & {
  /** RFC 3339. */
  readonly date: string;
  /** How long a round was measured. */
  readonly seconds: number;
};

/** Everything measured so far, the latest of each row. */
export type Results = {
  readonly machine: Machine;
  readonly rows: Record<string, RowResult>;
  /** By group. */
  readonly details: Record<string, readonly Detail[]>;
};

export type Machine = {
  readonly hardware: string;
  readonly fileSystem: string;
  readonly cores: string;
  readonly versions: Readonly<Record<string, string>>;
};

const JSON_FILE = "results.json";
const MARKDOWN_FILE = "RESULTS.md";

/** What was measured before, with this machine's description. */
export function readResults(folder: string): Results {
  const file = join(folder, JSON_FILE);
  const before = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as Pick<Results, "rows" | "details">)
    : { rows: {}, details: {} };
  return { machine: thisMachine(), rows: before.rows, details: before.details };
}

/** Writes the JSON and the document; what a person wrote into the document stays. */
export function writeResults(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, JSON_FILE), `${JSON.stringify(results, undefined, 2)}\n`);
  const file = join(folder, MARKDOWN_FILE);
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  writeFileSync(file, documentOf(results, before));
}

function thisMachine(): Machine {
  const versions = [sluice(), mosquitto, aedes, rabbitmq, nats].map(
    (target): readonly [string, string] => [
      target.name,
      target.missing() === undefined ? target.version() : "not installed",
    ],
  );
  return {
    hardware: describeMachine(),
    fileSystem: fileSystemOf(tmpdir()),
    cores: isPinned() ? "broker on core 0, generator on core 1" : "not pinned",
    versions: { node: process.version, ...Object.fromEntries(versions) },
  };
}
