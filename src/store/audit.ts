import { z } from "zod";
import type { CancelTimer, Clock } from "../clock.ts";
import { keptText } from "../kept-text.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { withoutTokens } from "../secrets.ts";
import { AuditRepeats } from "./audit-repeats.ts";
import { AuditShares } from "./audit-shares.ts";
import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import type { HistoryPage } from "./history.ts";
import { auditKey, auditRows, everyRow, metaKey, numberOfAuditKey } from "./keys.ts";
import type { Writability } from "./writability.ts";

/** Who did what, on what, from where, and what came of it. No member holds a secret or a payload. */
export type AuditRecord = {
  /** Name of the principal; `nobody`: who it was is not known. */
  readonly principal: string;
  /** IP address of the peer; absent: it came over no network. */
  readonly address?: string;
  readonly channel: "http" | "https" | "local" | "mqtt" | "mqtts" | "tls" | "uplink" | "gateway";
  /** What is it about, and what became of it: `thing.delete`. */
  readonly action: `${string}.${string}`;
  /** A path, or a name. */
  readonly target: string;
  readonly requestId?: string;
  /** `ok`, or why not: an error code or the cause of a refusal. */
  readonly result: string;
  readonly detail?: string;
};

/** A record as it is kept. */
export type AuditEntry = AuditRecord & {
  /** Counts up from 1; one that is missing was swept, or its row was damaged. */
  readonly number: number;
  /** ms since the epoch. */
  readonly at: number;
  /** How many like it the row stands for; absent: one. */
  readonly count?: number;
};

/** What is kept: at most `rows`, and for `days` of running time (0: no bound by age). */
export type AuditBounds = { readonly rows: number; readonly days: number };

export const AUDIT_DEFAULTS: AuditBounds = { rows: 100_000, days: 730 };

/** At most `limit` that match, from the newest down or the oldest up; exclusive numbers. */
export type AuditSlice = {
  readonly limit: number;
  readonly after?: number | undefined;
  readonly before?: number | undefined;
  readonly oldestFirst?: boolean;
  readonly matches: (entry: AuditEntry) => boolean;
};

type AuditDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly clock: Clock;
  readonly writability: Pick<Writability, "refusal">;
  /** ms the store has been open in its life. */
  readonly ageMs: () => number;
};

const SWEEP_EVERY_MS = 10_000;
const DAY_MS = 86_400_000;
/** So much beyond its bound it may be: a sweep is worth its own row then. */
const SLACK_DAYS = 1;
const SLACK_PART = 0.05;

const HEAD = metaKey("audit-head");

/**
 * The audit log. Rows are added and never changed; only its bounds take rows away, the oldest first,
 * and each time a row says how many.
 */
export class AuditLog {
  readonly #deps: AuditDeps;
  readonly #bounds: AuditBounds;
  readonly #repeats: AuditRepeats;
  readonly #shares: AuditShares;
  /** The first number that may still be there, and the last one given. */
  #head = 1;
  #last = 0;
  #missed = 0;
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  constructor(deps: AuditDeps, bounds = AUDIT_DEFAULTS) {
    this.#deps = deps;
    this.#bounds = bounds;
    this.#repeats = new AuditRepeats(deps.clock, (record, count) => this.#write(record, count));
    this.#shares = new AuditShares(bounds.rows, deps.clock);
  }

  async load(): Promise<void> {
    const { commit, database } = this.#deps;
    const [first] = await database.keys({ ...everyRow.audit, limit: 1 }).all();
    const head = commit.read(HEAD) ?? (first === undefined ? 1 : numberOfAuditKey(first));
    this.#head = Number(head);
    const [last] = await database.keys({ ...everyRow.audit, reverse: true, limit: 1 }).all();
    this.#last = Math.max(this.#head - 1, last === undefined ? 0 : numberOfAuditKey(last));
  }

  /** How many there are, damaged ones included, and the number of the last one. */
  get counts(): { readonly rows: number; readonly last: number } {
    return { rows: this.#last - this.#head + 1, last: this.#last };
  }

  /**
   * Puts the record into the open batch: call it in the turn of the change it is about, and both are
   * on disk or neither. Of a principal who has filled his share of the log it is as `recordRepeatable`.
   */
  record(record: AuditRecord): void {
    if (this.#shares.take(record.principal)) this.#write(record, 1);
    else this.#repeats.add(record);
  }

  /**
   * As `record`, for what somebody can make happen as often as he likes: what comes again within a
   * minute, and of `of` if that is given, is counted, and told in one row.
   */
  recordRepeatable(record: AuditRecord, of = ""): void {
    this.#repeats.add(record, of);
  }

  /** Reads from disk: call it when the writes it should show are settled. */
  async read(slice: AuditSlice): Promise<HistoryPage<AuditEntry>> {
    const { limit, after, before, oldestFirst = false, matches } = slice;
    const first = Math.max(this.#head, (after ?? 0) + 1);
    const last = Math.min(this.#last, (before ?? Infinity) - 1);
    const items: AuditEntry[] = [];
    if (first > last) return { items, more: false };
    const rows = this.#deps.database.iterator({ ...auditRows(first, last), reverse: !oldestFirst });
    try {
      for (;;) {
        const some = await rows.some();
        if (some.length === 0) return { items, more: false };
        for (const [key, row] of some) {
          const entry = this.#parse(key, row);
          if (entry === undefined || !matches(entry)) continue;
          if (items.length === limit) return { items, more: true };
          items.push(entry);
        }
      }
    } finally {
      await rows.close();
    }
  }

  /** Keeps it within its bounds from now on. A sweep that fails is told, and the next one tries again. */
  start(onFailure: (error: unknown) => void): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#deps.clock.after(SWEEP_EVERY_MS, () => {
      const failed = (error: unknown): void => {
        // While nothing can be written nothing is swept, either.
        if (this.#deps.commit.stall === undefined) onFailure(error);
      };
      void this.sweep()
        .catch(failed)
        .then(() => this.start(onFailure));
    });
  }

  /** Puts what was only counted so far. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.#repeats.flush();
  }

  /** One pass. A sweep, its row and where the log begins are one batch. */
  async sweep(): Promise<void> {
    for (;;) {
      const through = await this.#expiredThrough();
      if (through < this.#head || this.#isStopped) return;
      const { commit } = this.#deps;
      for (let number = this.#head; number <= through; number += 1) {
        commit.delete(auditKey(number));
      }
      const target = `${this.#head} to ${through}`;
      const detail = `${through - this.#head + 1} rows, the oldest, made room for newer ones`;
      this.#head = through + 1;
      commit.put(HEAD, String(this.#head));
      this.#write({ ...OF_GATEWAY, action: "audit.sweep", target, detail }, 1);
      await commit.flushed();
    }
  }

  /** The last number that has to go now, so many at a time; 0: none. */
  async #expiredThrough(): Promise<number> {
    const { rows: rowsMax, days } = this.#bounds;
    const { rows } = this.counts;
    if (rows === 0) return 0;
    const byRows = rows > rowsMax ? this.#last - Math.floor(rowsMax * (1 - SLACK_PART)) : 0;
    const most = this.#head + FIXED_LIMITS.auditSweptRowsMax - 1;
    if (days === 0 || byRows >= most) return Math.min(byRows, most);
    return Math.min(most, Math.max(byRows, await this.#olderThrough(days, most)));
  }

  async #olderThrough(days: number, most: number): Promise<number> {
    const { database, commit, ageMs } = this.#deps;
    await commit.flushed();
    const range = auditRows(this.#head, Math.min(most, this.#last));
    const [oldest] = await database.iterator({ ...range, limit: 1 }).all();
    const isOlder = (row: string, than: number): boolean => ageOf(row) < ageMs() - than * DAY_MS;
    if (oldest === undefined || !isOlder(oldest[1], days + SLACK_DAYS)) return 0;
    const rows = await database.iterator(range).all();
    const kept = rows.find(([, row]) => !isOlder(row, days));
    return numberOfAuditKey(kept?.[0] ?? rows.at(-1)?.[0] ?? oldest[0]) - (kept ? 1 : 0);
  }

  #write(record: AuditRecord, count: number): void {
    const { commit, clock, ageMs, writability } = this.#deps;
    if (record.result !== "ok" && writability.refusal !== undefined) {
      // A full disk is not filled further with what was refused.
      this.#missed += count;
      return;
    }
    const missed = this.#missed;
    this.#missed = 0;
    if (missed > 0) {
      const detail = "refusals were not recorded while the store took nothing";
      this.#write({ ...OF_GATEWAY, action: "audit.miss", target: "", detail }, missed);
    }
    this.#last += 1;
    const row = { ...bounded(record), at: clock.wallMs(), age: Math.round(ageMs()) };
    commit.put(auditKey(this.#last), JSON.stringify(count === 1 ? row : { ...row, count }));
  }

  /** A row that cannot be parsed is set aside, and told with its key. */
  #parse(key: string, row: string): AuditEntry | undefined {
    try {
      const { age: _, ...entry } = rowSchema.parse(JSON.parse(row));
      return { ...entry, number: numberOfAuditKey(key) };
    } catch {
      this.#deps.database.damage.addRow(key, row);
      return undefined;
    }
  }
}

/** What the gateway does by itself. */
export const OF_GATEWAY = { principal: "gateway", channel: "gateway", result: "ok" } as const;

/** What is recorded though no request of the API asks for it; complete. */
export const AUDIT_ACTIONS_OF_THE_GATEWAY = [
  "access.login",
  "audit.flood",
  "audit.miss",
  "audit.sweep",
  "config.change",
  "credential.expire",
  "credential.overlap-end",
  "gateway.bootstrap",
  "gateway.start",
  "gateway.stop",
  "uplink.adopt",
] as const satisfies readonly AuditRecord["action"][];

const rowSchema = z.object({
  principal: z.string(),
  address: z.string().exactOptional(),
  channel: z.enum(["http", "https", "local", "mqtt", "mqtts", "tls", "uplink", "gateway"]),
  action: z.templateLiteral([z.string(), ".", z.string()]),
  target: z.string(),
  requestId: z.string().exactOptional(),
  result: z.string(),
  detail: z.string().exactOptional(),
  at: z.number(),
  age: z.number(),
  count: z.number().exactOptional(),
});

/** Of the store, in ms; of a row that says none: it goes with its neighbours. */
function ageOf(row: string): number {
  const age = /"age":(\d+)/.exec(row.slice(row.lastIndexOf('"age":')))?.[1];
  return age === undefined ? 0 : Number(age);
}

/** Strangers choose what is in these texts. */
function bounded(record: AuditRecord): AuditRecord {
  const { principal, target, detail } = record;
  return {
    ...record,
    principal: cut(principal),
    target: cut(target),
    ...(detail === undefined ? {} : { detail: cut(detail) }),
  };
}

function cut(text: string): string {
  return keptText(withoutTokens(text), FIXED_LIMITS.auditTextLengthMax);
}
