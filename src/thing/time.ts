/** RFC 3339 in UTC with milliseconds. `ms` since the Unix epoch, of the years 0 to 9999. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * ms since the Unix epoch of an RFC 3339 time with any offset, cut to milliseconds. Also taken:
 * `2020-04-02 15:37:46+0000`, and a space for the `+`, which is what a query makes of it. A leap
 * second counts as the last millisecond before it. `undefined`: no such time.
 */
export function parseTime(text: string): number | undefined {
  const [, year, month, day, hour, minute, second, fraction, zone] = TIME.exec(text) ?? [];
  if (year === undefined || zone === undefined) return undefined;
  const midnight = startOfDay(Number(year), Number(month), Number(day));
  const offset = parseOffset(zone);
  if (midnight === undefined || offset === undefined) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const isLeapSecond = second === "60";
  const milliseconds = isLeapSecond ? 59_999 : Number(second) * 1000 + toMilliseconds(fraction);
  const at = midnight + Number(hour) * HOUR + Number(minute) * MINUTE - offset + milliseconds;
  if (at < YEAR_0 || at >= YEAR_10000) return undefined;
  return isLeapSecond && (at + 1) % DAY !== 0 ? undefined : at; // RFC 3339 §5.7: at the end of a day.
}

/** Both ends belong to a range; `from` is never after `to`. */
export type TimeRange =
  | { readonly kind: "instant"; readonly at: number }
  | { readonly kind: "range"; readonly from: number; readonly to: number };

/**
 * The `at` of a query: `TIME`, or `FROM|TO`. A year, a month or a day (`2022`, `2022-08`,
 * `2022-08-22`) stands for all of it in UTC: alone it is a range, as FROM it means its first
 * millisecond, as TO its last.
 */
export function parseTimeRange(text: string): TimeRange | undefined {
  const [first = "", second, ...more] = text.split("|");
  const from = parsePeriod(first);
  const to = second === undefined ? from : parsePeriod(second);
  if (from === undefined || to === undefined || more.length > 0) return undefined;
  if (second === undefined && from.first === from.last) return { kind: "instant", at: from.first };
  return from.first > to.last ? undefined : { kind: "range", from: from.first, to: to.last };
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR_0 = Date.parse("0000-01-01T00:00:00Z");
const YEAR_10000 = Date.parse("+010000-01-01T00:00:00Z");

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+\- ]\d\d:?\d\d)$/;

const PERIOD = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?$/;

/** The first and the last millisecond of a time (they are the same) or of a short form. */
function parsePeriod(text: string): { readonly first: number; readonly last: number } | undefined {
  const [, yearText, month, day] = PERIOD.exec(text) ?? [];
  if (yearText === undefined) {
    const at = parseTime(text);
    return at === undefined ? undefined : { first: at, last: at };
  }
  const year = Number(yearText);
  const first = startOfDay(year, Number(month ?? 1), Number(day ?? 1));
  if (first === undefined) return undefined;
  if (day !== undefined) return { first, last: first + DAY - 1 };
  const next = month === undefined || month === "12" ? [year + 1, 1] : [year, Number(month) + 1];
  const [nextYear = 0, nextMonth = 0] = next;
  return { first, last: midnightOf(nextYear, nextMonth, 1).getTime() - 1 };
}

/** `undefined`: no such day. Years below 100 are meant as written, unlike in `Date.UTC`. */
function startOfDay(year: number, month: number, day: number): number | undefined {
  const date = midnightOf(year, month, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

function midnightOf(year: number, month: number, day: number): Date {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date;
}

function parseOffset(zone: string): number | undefined {
  if (zone === "Z" || zone === "z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith("-") ? -1 : 1) * (hours * HOUR + minutes * MINUTE);
}

function toMilliseconds(fraction = ""): number {
  return Number(fraction.slice(0, 3).padEnd(3, "0"));
}
