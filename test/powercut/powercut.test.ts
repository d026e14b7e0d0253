import { randomInt } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { test, type Test } from "tap";
import { checkRemains } from "../crash/check-remains.ts";
import { checkWrites } from "../crash/check-writes.ts";
import { makeDice } from "../crash/dice.ts";
import type { Fault } from "../crash/fault.ts";
import { httpTo } from "../crash/http.ts";
import { plantingEnvironment } from "../crash/plant-hooks.ts";
import { readRemains } from "../crash/remains.ts";
import { openAt, type Logged } from "../damage/sample.ts";
import { Daemon } from "../daemon.ts";
import {
  ADMIN_TOKEN,
  BULK_TREE,
  environmentOf,
  ledgerAt,
  record,
  type Moment,
  type Recorded,
} from "./recording.ts";
import { hasUnsyncedNames, leaveTornState, MERCIES, type Mercy } from "./torn-state.ts";
import { missingCompiler } from "../preload.ts";

// npm run test:powercut -- --states 400 --seed 4711
// npm run test:powercut -- --fault all
const { values } = parseArgs({
  options: {
    states: { type: "string", default: "16" },
    seed: { type: "string" },
    life: { type: "string", default: "1500" },
    fault: { type: "string" },
  },
});
const states = Number(values.states);
const seed = Number(values.seed ?? randomInt(2 ** 32));
const timeout = 100_000 + states * 5_000;
const skip = missingCompiler ?? false;
/** What tells of a loss. */
const ALARMS = ["store.gap", "store.row_set_aside", "store.unreadable", "store.log_damaged"];
/** One state of so many is given to the whole daemon. */
const DAEMON_EVERY = 8;

/** What the daemon must not do, from those that `test/crash` plants. */
const FAULTS = [
  "batches-are-not-synced",
  "names-of-new-logs-are-not-synced",
  "the-name-of-the-store-is-not-synced",
  "mqtt-answers-before-commit",
  "http-answers-before-commit",
] as const;

if (values.fault === undefined) {
  await test(
    `in ${states} states that power cuts leave nothing acknowledged is lost (seed ${seed})`,
    { timeout, skip },
    survives,
  );
} else {
  for (const fault of values.fault === "all" ? FAULTS : [values.fault]) {
    await test(`it is noticed that ${fault} (seed ${seed})`, { timeout, skip }, async (t) => {
      const env = plantingEnvironment(fault);
      // Longer: of some faults only the moments at which a log begins can tell.
      const recorded = await record(t, { seed, lifeMs: 3 * Number(values.life), env });
      const { complaints } = recorded;
      const faults =
        complaints.length > 0 ? complaints : (await checkStates(t, recorded, true)).faults;
      t.comment(faults[0] ?? "");
      t.not(faults.length, 0);
    });
  }
}

async function survives(t: Test): Promise<void> {
  t.comment(`again: npm run test:powercut -- --states ${states} --seed ${seed}`);
  const recorded = await record(t, { seed, lifeMs: Number(values.life) });
  t.same(recorded.complaints, []);
  const { faults, ...counts } = await checkStates(t, recorded, false);
  t.comment(JSON.stringify({ ...counts, ...recorded.ledger.counts }));
  t.same(faults.slice(0, 20), []);
  t.ok(recorded.ledger.counts.acknowledged > 100, "the power was cut at work");
}

type Report = { readonly faults: string[]; checked: number; salvaged: number; daemons: number };

async function checkStates(t: Test, recorded: Recorded, untilFault: boolean): Promise<Report> {
  const report: Report = { faults: [], checked: 0, salvaged: 0, daemons: 0 };
  const dice = makeDice(seed);
  const { moments, disk } = recorded;
  const delicate = moments.filter(({ at }) => hasUnsyncedNames(disk, at));
  for (let number = 0; number < states; number += 1) {
    const mercy = dice.pick(MERCIES);
    const moment = dice.pick(number % 2 === 0 || delicate.length === 0 ? moments : delicate);
    const target = join(recorded.folder, `state-${number}`);
    leaveTornState(disk, moment.at, { mercy, dice: dice.fork(`${number}`), target });
    const path = join(target, "store");
    const faults = [
      ...(await checkRows(path, mercy, recorded, moment)),
      ...(await checkStart(path, mercy, report)),
    ];
    if (number % DAEMON_EVERY === 0) {
      report.daemons += 1;
      faults.push(...(await checkDaemon(t, path)));
    }
    const where = `state ${number}, ${mercy}, moment ${moments.indexOf(moment)}: `;
    report.faults.push(...faults.map((fault) => where + fault));
    report.checked += 1;
    rmSync(target, { recursive: true });
    if (untilFault && report.faults.length > 0) break;
  }
  return report;
}

/** The rows as they are, before a start touches them. */
async function checkRows(
  path: string,
  mercy: Mercy,
  { ledger }: Recorded,
  moment: Moment,
): Promise<readonly string[]> {
  const remains = await readRemains(path);
  const faults: readonly Fault[] = [
    ...checkRemains(remains, false),
    ...checkWrites(remains, ledgerAt(ledger, moment)),
  ];
  return faults
    .filter(({ detail }) => !detail.includes(BULK_TREE))
    .filter(({ rule }) => rule !== "whole" || mercy !== "any")
    .map(({ rule, detail }) => `${rule}: ${detail}`);
}

/** It opens, and reports nothing: what was not acknowledged is not missed. */
async function checkStart(path: string, mercy: Mercy, report: Report): Promise<readonly string[]> {
  const logged: Logged[] = [];
  const store = await openAt(path, logged);
  await store.gaps.checkAll();
  await store.close();
  const events = logged.map(([, event]) => event);
  const isSalvaged = events.includes("store.salvaged");
  if (isSalvaged) report.salvaged += 1;
  return [
    ...events.filter((event) => ALARMS.includes(event)).map((event) => `told ${event}`),
    // Only a disk that keeps changes of a folder in no order leaves what LevelDB does not open.
    ...(isSalvaged && mercy !== "any" ? ["the database had to be salvaged"] : []),
  ];
}

async function checkDaemon(t: Test, path: string): Promise<readonly string[]> {
  const daemon = new Daemon(t, [], environmentOf(path, { mqtt: 0, http: 0 }));
  const { httpPort } = await daemon.ready;
  const { status, body } = await httpTo(httpPort, ADMIN_TOKEN)("GET", "/gateway");
  daemon.signal("SIGTERM");
  const { code } = await daemon.ended;
  const { store } = body as { store?: { state?: string; gaps_count?: number } };
  const faults = [];
  if (status !== 200 || store?.state !== "ok") faults.push(`GET /gateway: ${JSON.stringify(body)}`);
  if (store?.gaps_count !== 0) faults.push("the daemon reports a gap");
  if (code !== 0) faults.push(`the daemon ended with ${String(code)}`);
  return faults;
}
