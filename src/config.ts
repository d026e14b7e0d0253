import { existsSync, readFileSync, statSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import { CONFIG_KEYS, CONFIG_SCHEMA } from "./config-schema.ts";
import { uplinkFaults } from "./config-uplinks.ts";
import { defaultLimits } from "./limits.ts";
import type { Limits } from "./limits.ts";

type Parsed = z.output<typeof CONFIG_SCHEMA>;

/** What the operator decided, complete, checked and frozen. Sections and keys as in the file. */
export type Config = Omit<Parsed, "limits"> & { readonly limits: Limits };

/** One line a fault: what is wrong, and what is expected there. Never a value: it may be a secret. */
export type LoadedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      /** The file, if it holds a secret and every user of the machine can read it. */
      readonly exposedFile?: string;
    }
  | { readonly ok: false; readonly faults: readonly string[] };

/**
 * Reads the file, lays the environment (`SLUICE_<SECTION>__<KEY>`) over it, and checks the whole.
 * Without `file` it is `sluice.toml` in systemd's CONFIGURATION_DIRECTORY if that is set and there
 * is one; else there is no file, and all is default or environment. Names every fault at once.
 */
export function loadConfig(options: {
  readonly file?: string;
  readonly env: NodeJS.ProcessEnv;
}): LoadedConfig {
  const file = options.file ?? serviceFile(options.env);
  const read = file === undefined ? { ok: true as const, table: {} } : readToml(file);
  if (!read.ok) return { ok: false, faults: [read.fault] };
  const overlay = readVariables(options.env);
  const parsed = CONFIG_SCHEMA.safeParse(merge(read.table, overlay.given));
  const faults = [...overlay.faults];
  if (!parsed.success)
    faults.push(...parsed.error.issues.flatMap((i) => faultsOf(i, overlay.given)));
  if (!parsed.success || faults.length > 0) return { ok: false, faults };
  const limits = Object.freeze(defaultLimits(parsed.data.limits));
  const config = Object.freeze({ ...parsed.data, limits });
  const isExposed = file !== undefined && holdsSecret(read.table) && isReadableByAll(file);
  return { ok: true, config, ...(isExposed ? { exposedFile: file } : {}) };
}

const SECRET_KEYS: ReadonlySet<string> = new Set(["admin_token", "password", "key", "proxy"]);

function holdsSecret(table: Table): boolean {
  return Object.entries(table).some(([key, value]) => {
    if (typeof value === "string") return SECRET_KEYS.has(key);
    if (Array.isArray(value)) return value.some((item) => isTable(item) && holdsSecret(item));
    return isTable(value) && holdsSecret(value);
  });
}

function isReadableByAll(file: string): boolean {
  return (statSync(file).mode & 0o004) !== 0;
}

/** The only place that reads the environment: everything else is handed what it needs. */
export function processEnvironment(): NodeJS.ProcessEnv {
  return process.env;
}

type Table = Readonly<Record<string, unknown>>;
/** Values from the environment, by section and key. */
type Given = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

function serviceFile(env: NodeJS.ProcessEnv): string | undefined {
  const directory = env["CONFIGURATION_DIRECTORY"]?.split(":")[0];
  if (directory === undefined || directory === "") return undefined;
  const file = `${directory}/sluice.toml`;
  return existsSync(file) ? file : undefined;
}

type ReadToml =
  { readonly ok: true; readonly table: Table } | { readonly ok: false; readonly fault: string };

function readToml(file: string): ReadToml {
  try {
    return { ok: true, table: parse(readFileSync(file, "utf8")) };
  } catch (error) {
    // The parser's own message quotes the lines around the fault: one may hold the admin token.
    if (error instanceof TomlError) {
      return { ok: false, fault: `${file}:${error.line}:${error.column}: expected TOML` };
    }
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return { ok: false, fault: `${file}: expected a file that can be read (${reason})` };
  }
}

/** A variable without a double underscore is not ours to judge. */
const KEY_VARIABLE = /^SLUICE_.*__/;

function readVariables(env: NodeJS.ProcessEnv): {
  readonly given: Given;
  readonly faults: readonly string[];
} {
  const given = new Map<string, Map<string, unknown>>();
  const faults: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !KEY_VARIABLE.test(variable)) continue;
    const row = CONFIG_KEYS.find((candidate) => candidate.variable === variable);
    if (row === undefined) {
      faults.push(`${variable}: expected SLUICE_<SECTION>__<KEY> of a known key`);
      continue;
    }
    const section = given.get(row.section) ?? new Map<string, unknown>();
    given.set(row.section, section.set(row.key, row.fromText(text)));
  }
  return { given, faults };
}

/** A section that is not a table stays, and becomes a fault. */
function merge(table: Table, given: Given): Table {
  const merged: Record<string, unknown> = { ...table };
  for (const [section, keys] of given) {
    const below = merged[section] ?? {};
    if (isTable(below)) merged[section] = { ...below, ...Object.fromEntries(keys) };
  }
  return merged;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function faultsOf(issue: z.core.$ZodIssue, given: Given): readonly string[] {
  const [section, key] = issue.path.map(String);
  if (section === "uplink") return uplinkFaults(issue, issue.path.slice(1));
  if (issue.code === "unrecognized_keys") {
    const prefix = section === undefined ? "" : `${section}.`;
    return issue.keys.map((name) => `${prefix}${name}: expected ${knownNames(section)}`);
  }
  const path = issue.path.map(String).join(".");
  const row = CONFIG_KEYS.find((each) => each.section === section && each.key === key);
  if (row === undefined) return [`${path}: expected a table`];
  const isFromVariable = given.get(row.section)?.has(row.key) === true;
  return [`${path}: expected ${row.expected}${isFromVariable ? ` (in ${row.variable})` : ""}`];
}

/** An unknown key is most often a misspelt one: name the right ones. */
function knownNames(section: string | undefined): string {
  const names =
    section === undefined
      ? new Set([...CONFIG_KEYS.map((row) => row.section), "uplink"])
      : CONFIG_KEYS.filter((row) => row.section === section).map((row) => row.key);
  return `one of ${[...names].join(", ")}`;
}
