import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { systemClock, systemRandom } from "../../src/clock.ts";
import type { LogFields } from "../../src/log.ts";
import { CHANGE_CLASSES, changesOfClass } from "../../src/store/keys.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { makeThing } from "../../src/store/things.ts";
import { AMPLE } from "../store/open-store.ts";
import { recordDatum, recordEvent, recordValues } from "../store/recording.ts";

export type Logged = readonly [level: string, event: string, fields: LogFields];

export async function openAt(path: string, logged: Logged[] = []): Promise<Store> {
  const as =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void logged.push([level, event, fields]);
  return openStore({
    path,
    window: { gatherMs: 0, syncIntervalMs: 0 },
    quotaBytes: 0,
    history: AMPLE,
    clock: systemClock("always"),
    random: systemRandom,
    log: { error: as("error"), warn: as("warn"), info: as("info"), debug: as("debug") },
    onFailure: (failure) => {
      throw failure;
    },
  });
}

/** What a store holds, by key, and what it says of itself. */
export type Contents = ReadonlyMap<string, string>;

export async function contentsOf(store: Store): Promise<Contents> {
  await store.commit.flushed();
  const contents = new Map<string, string>();
  for (const { name, created } of store.accounts.all())
    contents.set(`account ${name}`, `${created}`);
  for (const thing of store.things.ofAccount("site")) {
    contents.set(
      `thing ${thing.id}`,
      JSON.stringify([thing.uid, thing.revision, thing.description]),
    );
    for (const [name, { value, sequence }] of store.properties.ofThing(thing.number)) {
      contents.set(`state ${thing.number}/${name}`, JSON.stringify([value, sequence]));
    }
  }
  for (const token of store.tokens.all())
    contents.set(`token ${token.ulid}`, JSON.stringify(token));
  for (const each of store.credentials.all()) {
    contents.set(`credential ${each.ulid}`, each.username);
  }
  for (const { source, moments } of await historiesOf(store)) {
    for (const moment of moments) contents.set(`history ${source} ${moment}`, "");
  }
  for (const of of CHANGE_CLASSES) {
    const range = changesOfClass(of, 0, Number.MAX_SAFE_INTEGER);
    for (const [key, row] of await store.database.iterator(range).all()) {
      contents.set(`change ${key}`, row);
    }
  }
  return contents;
}

/** What the histories of every Thing show. */
async function historiesOf(
  store: Store,
): Promise<readonly { readonly source: string; readonly moments: readonly string[] }[]> {
  const sources = [...store.things.ofAccount("site")].flatMap(({ number, properties }) => [
    ...[...properties.keys()].map((name) => ({ thing: number, of: "property", name }) as const),
    { thing: number, of: "event", name: "alarm" } as const,
    { thing: number, of: "data", name: "" } as const,
  ]);
  return Promise.all(
    sources.map(async (source) => {
      const { items } = await store.history.changes([source], { limit: 1_000_000 });
      const moments = items.map(({ sequence, at }) => `${sequence} at ${at}`);
      return { source: `${source.of} ${source.name} of ${source.thing}`, moments };
    }),
  );
}

export type Sample = {
  /** A store of which nothing is damaged. */
  readonly path: string;
  readonly contents: Contents;
  /** A copy to do harm to; gone when the test ends. */
  readonly copy: () => string;
};

const THINGS = 5;
const PROPERTIES = 7;

/**
 * A store with rows of every kind in several tables and in its log, after a clean stop or, with
 * `killed`, as SIGKILL leaves it: everything was acknowledged.
 */
export async function makeSample(t: Test, end: "stopped" | "killed"): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-damage-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "sample");
  const first = await openAt(path);
  makeObjects(first);
  await record(first, 0, 800);
  await first.close();
  const second = await openAt(path);
  await record(second, 800, 1_600);
  await second.close();
  const third = await openAt(path);
  await record(third, 1_600, 2_000);
  const contents = await contentsOf(third);
  const killed = join(folder, "killed");
  cpSync(path, killed, { recursive: true });
  await third.close();
  const source = end === "killed" ? killed : path;
  let copies = 0;
  const copy = (): string => {
    const target = join(folder, `copy-${(copies += 1)}`);
    cpSync(source, target, { recursive: true });
    return target;
  };
  return { path: source, contents, copy };
}

function makeObjects(store: Store): void {
  store.accounts.put({ name: "site", created: 1, revision: 1 });
  for (let number = 1; number <= THINGS; number += 1) {
    const properties = Object.fromEntries(
      Array.from({ length: PROPERTIES }, (_, index) => [`p${index}`, { type: "number" }]),
    );
    const row = {
      number: store.things.takeNumber(),
      uid: store.ids.next(),
      account: "site",
      id: `thing-${number}`,
      description: { title: `Thing ${number}`, properties, events: { alarm: {} } },
    };
    const { number: thing, ...change } = row;
    const revision = store.changes.append({ class: "thing", thing, at: 1, ...change });
    store.things.put(makeThing({ ...row, created: 1, modified: 1, revision }));
    store.tokens.put({
      ulid: store.ids.next(),
      digest: `digest-${number}`,
      scopes: [],
      created: 1,
    });
    store.credentials.put({
      ulid: store.ids.next(),
      account: "site",
      username: `user-${number}`,
      secret: { kind: "sha256", salt: "c2FsdA", hash: "aGFzaA" },
      grants: [],
      enabled: true,
      created: 1,
      revision: 1,
    });
  }
}

/** Changes as accepted writes make them, a batch each 20. */
async function record(store: Store, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index += 1) {
    const thing = 1 + (index % THINGS);
    const at = 1_000_000 + index;
    if (index % 10 === 8) recordEvent(store, thing, at, "alarm");
    else if (index % 10 === 9) recordDatum(store, thing, at);
    else {
      const name = `p${index % PROPERTIES}`;
      const value = Math.fround(Math.sin(index) * 1_000);
      const { sequence } = recordValues(store, thing, at, { [name]: value });
      store.properties.set(thing, name, { value, at, sequence });
    }
    if (index % 20 === 19) await store.commit.flushed();
  }
}
