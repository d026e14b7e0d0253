import {
  readMqttRows,
  readQueued,
  readQueuedRows,
  type MqttRows,
  type Queued,
  type QueuedRow,
} from "../../src/mqtt/session-rows.ts";
import { parseActionRequest, type ActionRequest } from "../../src/store/action-requests.ts";
import {
  openChange,
  readMark,
  type LogMark,
  type RecordedChange,
} from "../../src/store/changes.ts";
import { openDatabase, rowsOf } from "../../src/store/database.ts";
import { keysOfRow } from "../../src/store/history-runs.ts";
import {
  CHANGE_CLASSES,
  changeKey,
  everyRow,
  momentOfKey,
  nameOfStateKey,
  numberOfKey,
  pageOfKey,
  sequenceOfChangeKey,
  sourceOfHistoryKey,
  type HistorySource,
  type Moment,
} from "../../src/store/keys.ts";
import type { Counts } from "../../src/store/page-counts.ts";

/** What a gateway left on disk, row by row, before another start touches it. */
export type Remains = {
  readonly mark: LogMark;
  /** How many changes of each class each page of the log has to hold, but for the newest. */
  readonly pages: ReadonlyMap<number, Counts>;
  /** What the store had lost, or thought it had: SIGKILL damages nothing. */
  readonly damage: readonly string[];
  /** By sequence. */
  readonly changes: readonly RecordedChange[];
  readonly index: readonly { readonly source: HistorySource; readonly moment: Moment }[];
  readonly states: readonly {
    readonly thing: number;
    readonly name: string;
    readonly value: unknown;
    readonly at: number;
    readonly sequence: number;
  }[];
  readonly things: ReadonlyMap<number, ThingRow>;
  readonly requests: readonly ActionRequest[];
  /** Keys of the rows of requests that have not finished. */
  readonly unfinished: ReadonlyMap<string, string>;
  readonly requestKeys: ReadonlySet<string>;
  readonly deleted: readonly { readonly thing: number; readonly through: number }[];
  readonly credentials: ReadonlySet<string>;
  /** With the payloads of what sessions are owed. */
  readonly mqtt: Omit<MqttRows, "queued"> & { readonly queued: readonly Queued<QueuedRow>[] };
};

export type ThingRow = { readonly id: string; readonly revision: number };

/** Opens the database alone, as no start of the gateway does: no row is written. */
export async function readRemains(path: string): Promise<Remains> {
  const database = await openDatabase(path);
  try {
    const read = (key: string): string | undefined => database.getSync(key);
    const rows = async (range: { readonly gt: string; readonly lt: string }) =>
      rowsOf(database, range);
    const requests = await rows(under("r:"));
    const changes: RecordedChange[] = [];
    for (const of of CHANGE_CLASSES) {
      const range = { gt: changeKey(of, 0), lt: changeKey(of, Number.MAX_SAFE_INTEGER) };
      for (const [key, row] of await rows(range)) {
        changes.push(openChange(of, sequenceOfChangeKey(key), row));
      }
    }
    const pages = await rows(everyRow.page);
    const gaps = [...(await rows(everyRow.gap)), ...(await rows(everyRow.aside))];
    return {
      mark: readMark(read),
      pages: new Map(pages.map(([key, row]) => [pageOfKey(key), JSON.parse(row) as Counts])),
      changes: changes.sort((a, b) => a.sequence - b.sequence),
      index: (await rows(under("h:"))).flatMap(([row, content]) => {
        const source = sourceOfHistoryKey(row);
        return keysOfRow(row, content).map((key) => ({
          source,
          moment: momentOfKey(source.of, key),
        }));
      }),
      states: (await rows(everyRow.state)).map(([key, row]) => ({
        thing: numberOfKey(key),
        name: nameOfStateKey(key),
        ...(JSON.parse(row) as { value: unknown; at: number; sequence: number }),
      })),
      things: new Map(
        (await rows(everyRow.thing)).map(([key, row]) => [
          numberOfKey(key),
          JSON.parse(row) as ThingRow,
        ]),
      ),
      requests: requests.map(([, row]) => parseActionRequest(row)),
      requestKeys: new Set(requests.map(([key]) => key)),
      unfinished: new Map(await rows(everyRow.unfinishedRequest)),
      deleted: (await rows(everyRow.deletedRows)).map(
        ([, row]) => JSON.parse(row) as { thing: number; through: number },
      ),
      credentials: new Set((await rows(everyRow.credential)).map(([key]) => key.slice(2))),
      mqtt: {
        ...(await readMqttRows(database, { read })),
        queued: await readQueuedRows(database, readQueued),
      },
      // Last: it is known when all has been read.
      damage: [
        ...gaps.map(([key]) => `there is a row ${key}`),
        ...database.damage.unheard.map(({ key }) => `the row ${key} cannot be read`),
        ...(database.opening.salvaged === undefined ? [] : ["the database had to be salvaged"]),
        ...(database.opening.isLogLost ? ["the database has no log"] : []),
      ],
    };
  } finally {
    await database.close();
  }
}

function under(prefix: "h:" | "r:") {
  return { gt: prefix, lt: prefix.replace(":", ";") };
}
