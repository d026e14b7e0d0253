import { GatewayError } from "../errors.ts";
import { parseTimeRange, type TimeRange } from "../thing/time.ts";

/** Decoded parameters; each with its values in the order they came. */
export type Query = ReadonlyMap<string, readonly string[]>;

/**
 * Reads a query string as application/x-www-form-urlencoded: `+` is a space.
 * @throws GatewayError `invalid-parameter` for percent-encoding that is not UTF-8.
 */
export function parseQuery(text: string): Query {
  const query = new Map<string, readonly string[]>();
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? "" : decode(pair.slice(equals + 1));
    query.set(name, [...(query.get(name) ?? []), value]);
  }
  return query;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw invalidParameter("the query", "must be percent-encoded UTF-8");
  }
}

/** The query with other values of some parameters; `undefined` leaves one out. */
export function formatQuery(
  query: Query,
  changes: Readonly<Record<string, string | undefined>>,
): string {
  const kept = [...query].flatMap(([name, values]) =>
    Object.hasOwn(changes, name) ? [] : values.map((value) => [name, value] as const),
  );
  const set = Object.entries(changes).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return [...kept, ...set].map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
}

/** @throws GatewayError `invalid-parameter` for a parameter that the route does not name. */
export function requireKnown(query: Query, known: readonly string[]): void {
  for (const name of query.keys()) {
    const isKnown = known.some((candidate) =>
      candidate.endsWith("*") ? name.startsWith(candidate.slice(0, -1)) : name === candidate,
    );
    if (isKnown) continue;
    const expected = known.length === 0 ? "none are" : `known here: ${known.join(", ")}`;
    throw invalidParameter(JSON.stringify(name), `is not known (${expected})`);
  }
}

/** @throws GatewayError `invalid-parameter` if it is given twice. */
export function single(query: Query, name: string): string | undefined {
  const values = query.get(name);
  if (values !== undefined && values.length > 1) {
    throw invalidParameter(name, "must be given once");
  }
  return values?.[0];
}

/**
 * The parameter `at`: a time, or `FROM|TO`.
 * @throws GatewayError `invalid-parameter`.
 */
export function timeRange(query: Query): TimeRange | undefined {
  const text = single(query, "at");
  if (text === undefined) return undefined;
  const range = parseTimeRange(text);
  if (range !== undefined) return range;
  throw invalidParameter("at", "must be a time (2020-04-02T15:37:46Z), or FROM|TO, FROM first");
}

/** @throws GatewayError `invalid-parameter` for anything but `true` and `false`. */
export function flag(query: Query, name: string): boolean {
  const text = single(query, name) ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw invalidParameter(name, "must be true or false");
}

export function invalidParameter(name: string, detail: string): GatewayError {
  return new GatewayError("invalid-parameter", `${name} ${detail}`);
}
