import { FIXED_LIMITS } from "../limits.ts";
import {
  historyKey,
  historyKeyBeside,
  historyRange,
  momentOfKey,
  sourceOfHistoryKey,
  type HistorySource,
  type KeyRange,
  type Moment,
  type MomentBounds,
} from "./keys.ts";

/**
 * Values that one property took within one batch share a row of the index, a run: its key is that of
 * its last moment, its content names those before it, by how far they are from the last. So the row
 * goes with the last of its changes. A row without content is of its key's moment alone.
 */

const { historyRunMomentsMax: MOMENTS_MAX, historyRunMsMax: MS_MAX } = FIXED_LIMITS;
const RADIX = 32;

/** Whether a moment may be added to a run, which has one at least. */
export function mayFollow(run: readonly Moment[], moment: Moment): boolean {
  const [first, last] = [run[0], run.at(-1)];
  if (first === undefined || last === undefined || run.length >= MOMENTS_MAX) return false;
  return moment.at >= last.at && moment.at - first.at <= MS_MAX;
}

/** Key and content of the row of a run; its moments are in their order. */
export function rowOfRun(
  source: HistorySource,
  run: readonly [Moment, ...Moment[]],
): readonly [key: string, content: string] {
  const last = run.at(-1) ?? run[0];
  let content = "";
  for (const { at, sequence } of run) {
    if (sequence === last.sequence) break;
    const before = `${distance(last.at, at)}.${distance(last.sequence, sequence)}`;
    content += content === "" ? before : ` ${before}`;
  }
  return [historyKey(source, last), content];
}

const distance = (to: number, from: number): string => (to - from).toString(RADIX);

/** The keys that the moments of a row would have alone, in their order; the last is the row's. */
export function keysOfRow(key: string, content: string): readonly string[] {
  if (content === "") return [key];
  const { of } = sourceOfHistoryKey(key);
  const last = momentOfKey(of, key);
  const keys = content.split(" ").map((before) => {
    const [at = "", sequence = ""] = before.split(".");
    return historyKeyBeside(of, key, {
      at: last.at - Number.parseInt(at, RADIX),
      sequence: last.sequence - Number.parseInt(sequence, RADIX),
    });
  });
  return [...keys, key];
}

/** The rows that may hold moments within the bounds: a run may end behind them. */
export function rangeOfRuns(source: HistorySource, { after, before }: MomentBounds): KeyRange {
  const behind = before === undefined ? undefined : { at: before.at + MS_MAX + 1, sequence: 0 };
  return historyRange(source, { after, before: behind });
}
