import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test, type Test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { httpTo, type Http } from "../crash/http.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { missingCompiler } from "../preload.ts";
import { PAGE, withBadSectors, type BadPages } from "./bad-sectors.ts";

const skip = missingCompiler ?? false;
const READ_FRAGILE = fileURLToPath(new URL("read-fragile.js", import.meta.url));
const ADMIN_TOKEN = "slu_bad-sectors-test-administrator";
const THING = "/site/things/boiler";

await test("a file is read around its bad sectors, from any place to any other", { skip }, (t) => {
  const file = join(t.testdir(), "file");
  const bytes = randomBytes(20 * PAGE + 100);
  writeFileSync(file, bytes);
  const env = withBadSectors(t, [
    { file, page: 0, pages: 1 },
    { file, page: 7, pages: 2 },
    { file, page: 20, pages: 1 },
  ]);
  const expected = Buffer.from(bytes);
  for (const [from, to] of [
    [0, PAGE],
    [7 * PAGE, 9 * PAGE],
    [20 * PAGE, bytes.length],
  ] as const) {
    expected.fill(0xff, from, to);
  }
  for (const [offset, length, unreadable] of [
    [0, bytes.length, 4],
    [0, 10 * bytes.length, 4],
    [PAGE, 6 * PAGE, 0],
    [PAGE + 1, 6 * PAGE, 1],
    [6 * PAGE + 17, 3 * PAGE, 2],
    [8 * PAGE - 1, 2, 2],
    [20 * PAGE - 5, 50, 1],
    [bytes.length, 10, 0],
  ] as const) {
    for (const spoils of [{}, { BAD_SECTORS_SPOIL: "1" }]) {
      const what = `${length} from ${offset}`;
      const read = readFragile(file, offset, length, { ...env, ...spoils });
      t.ok(read.bytes.equals(expected.subarray(offset, offset + length)), what);
      t.equal(read.unreadable, unreadable, what);
    }
  }
  t.end();
});

await test("a file of bad sectors only is not asked for all of them", { skip }, (t) => {
  const file = join(t.testdir(), "file");
  const most = FIXED_LIMITS.unreadablePiecesMax;
  writeFileSync(file, Buffer.alloc((most + 50) * PAGE, "x"));
  // The last ones can be read: that nobody looks shows in what comes in their place.
  const env = withBadSectors(t, [{ file, page: 0, pages: most }]);
  const { bytes, unreadable } = readFragile(file, 0, Infinity, env);
  t.equal(unreadable, most);
  t.ok(bytes.equals(Buffer.alloc((most + 50) * PAGE, 0xff)));
  t.end();
});

type Read = { readonly bytes: Buffer; readonly unreadable: number };

function readFragile(file: string, offset: number, length: number, env: NodeJS.ProcessEnv): Read {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [READ_FRAGILE, file, String(offset), String(length)],
    { env: { ...process.env, ...env }, maxBuffer: 2 ** 24 },
  );
  return { bytes: stdout, unreadable: Number(stderr.toString()) };
}

type Served = { readonly daemon: Daemon; readonly http: Http };

async function serve(t: Test, env: NodeJS.ProcessEnv): Promise<Served> {
  const daemon = new Daemon(t, [], { ...env, SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN });
  return { daemon, http: httpTo((await daemon.ready).httpPort, ADMIN_TOKEN) };
}

async function stop({ daemon }: Served, t: Test): Promise<void> {
  daemon.signal("SIGTERM");
  t.equal((await daemon.ended).code, 0);
}

const VALUES = 400;

/** A store with a Thing and values, half of them in a table and half in the log; stopped. */
async function makeStore(t: Test, env: NodeJS.ProcessEnv): Promise<void> {
  for (const half of [0, 1]) {
    const served = await serve(t, env);
    if (half === 0) {
      await served.http("PUT", THING, { properties: { level: { type: "integer" } } });
    }
    for (let value = 1; value <= VALUES / 2; value += 1) {
      const level = (half * VALUES) / 2 + value;
      t.equal((await served.http("PUT", `${THING}/properties/level`, { level })).status, 200);
    }
    await stop(served, t);
  }
}

type Store = Readonly<Record<string, unknown>> & {
  readonly changes_lost: number;
  readonly pages_unchecked: number;
  readonly salvaged: { readonly reason: string; readonly setAside: string } | null;
};

async function storeOf(http: Http): Promise<Store> {
  return ((await http("GET", "/gateway")).body as { readonly store: Store }).store;
}

async function historyOf(http: Http): Promise<readonly unknown[]> {
  const { body } = await http("GET", `${THING}/properties-history/level?limit=1000`);
  return (body as { readonly data: readonly unknown[] }).data;
}

/** A page of the middle of it. */
function middleOf(folder: string, name: RegExp): BadPages {
  const file = join(
    folder,
    readdirSync(folder)
      .sort()
      .find((each) => name.test(each))!,
  );
  return { file, page: Math.floor(statSync(file).size / PAGE / 2), pages: 1 };
}

const HARMS = [
  { name: /^CURRENT$/, lostMax: 0, reason: /the disk cannot read .*CURRENT in 1 places/ },
  { name: /^MANIFEST-/, lostMax: 0, reason: /the disk cannot read .*MANIFEST-\d+ in 1 places/ },
  // What is behind it in the same 32 KiB: a record that cannot be read does not say where the next is.
  { name: /\.log$/, lostMax: 150, reason: /the disk cannot read .*\.log in 1 places/ },
  { name: /\.ldb$/, lostMax: 150, reason: /\.ldb is damaged/ },
];

await test(
  "a bad sector in any file of the database: the rest is served, and told",
  { skip },
  async (t) => {
    const sample = daemonEnvironment(t);
    await makeStore(t, sample);
    for (const { name, lostMax, reason } of HARMS) {
      const env = daemonEnvironment(t);
      cpSync(sample.SLUICE_STORE__PATH, env.SLUICE_STORE__PATH, { recursive: true });
      const folder = join(env.SLUICE_STORE__PATH, "db");
      const onBadDisk = { ...env, ...withBadSectors(t, [middleOf(folder, name)]) };
      const served = await serve(t, onBadDisk);
      const { changes_lost: lost, salvaged } = await storeOf(served.http);
      t.match(salvaged, { reason, setAside: /^damaged-\d+$/ });
      t.ok(readdirSync(env.SLUICE_STORE__PATH).includes(salvaged?.setAside ?? ""), "it is kept");
      t.ok(lost <= lostMax, `${name.source}: ${lost} changes are lost`);
      // The index of what is left follows while it serves.
      while ((await storeOf(served.http)).pages_unchecked > 0) await delay(20);
      t.equal((await historyOf(served.http)).length, VALUES - lost, "each that is lost is told");
      t.equal((await served.http("PUT", `${THING}/properties/level`, { level: 0 })).status, 200);
      await stop(served, t);
      const again = await serve(t, onBadDisk);
      t.match(await storeOf(again.http), { state: "ok", changes_lost: lost, salvaged: null });
      t.match((await historyOf(again.http))[0], { properties: { level: 0 } });
      await stop(again, t);
    }
  },
);

await test(
  "a bad sector that ends the process, in a table no start looks at first, is salvaged at the next",
  { skip },
  async (t) => {
    const env = daemonEnvironment(t);
    await makeStore(t, env);
    const filling = await serve(t, env);
    for (let part = 0; part * 40_000 < FIXED_LIMITS.checkedBytesClean; part += 1) {
      const text = randomBytes(30_000).toString("base64");
      t.equal((await filling.http("POST", "/site/data/boiler", { text })).status, 201);
    }
    await stop(filling, t);
    await stop(await serve(t, env), t); // What was in the log is in a table now.
    const folder = join(env.SLUICE_STORE__PATH, "db");
    const { file } = middleOf(folder, /\.ldb$/);
    const pages = Math.ceil(statSync(file).size / PAGE);
    const onBadDisk = { ...env, ...withBadSectors(t, [{ file, page: 0, pages }]) };
    const { code, signal } = await new Daemon(t, [], onBadDisk).ended;
    t.same([code, signal], [null, "SIGBUS"], "a mapped page that cannot be read");
    const served = await serve(t, onBadDisk);
    const { changes_lost: lost, salvaged } = await storeOf(served.http);
    t.match(salvaged, { reason: `${file} is damaged` });
    t.ok(lost > VALUES / 2, "all that was in that table is missed");
    const thing = { properties: { level: { type: "integer" } } };
    t.equal((await served.http("PUT", THING, thing)).status, 201, "it serves");
    await stop(served, t);
  },
);
