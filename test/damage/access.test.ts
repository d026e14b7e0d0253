import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type Test } from "tap";
import { httpTo, type Http } from "../crash/http.ts";
import { Daemon } from "../daemon.ts";
import { mountSmallDisk } from "../storage/small-disk.ts";

const ADMIN_TOKEN = "slu_access-test-administrator";
const THING = "/site/things/boiler";

/** Root reads and writes whatever it likes, unless it is run without that right. */
const WITHOUT_OVERRIDE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
const isRoot = process.getuid?.() === 0;
const through = isRoot ? WITHOUT_OVERRIDE : [];
const cannot = isRoot && spawnSync("setpriv", [...WITHOUT_OVERRIDE.slice(1), "true"]).status !== 0;
const isCi = process.env["CI"] === "true";
const skip = cannot && !isCi ? "takes setpriv, or a user who is not root" : false;

type Served = { readonly daemon: Daemon; readonly http: Http };

async function serve(t: Test, path: string): Promise<Served> {
  const daemon = daemonOn(t, path);
  return { daemon, http: httpTo((await daemon.ready).httpPort, ADMIN_TOKEN) };
}

function daemonOn(t: Test, path: string): Daemon {
  const env = {
    SLUICE_STORE__PATH: path,
    SLUICE_MQTT__PORT: "0",
    SLUICE_HTTP__PORT: "0",
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
  };
  return new Daemon(t, [], env, through);
}

async function stop({ daemon }: Served, t: Test): Promise<void> {
  daemon.signal("SIGTERM");
  t.equal((await daemon.ended).code, 0);
}

/** A store with a Thing and 40 values, some of them in a table; stopped. */
async function makeStore(t: Test, path: string): Promise<void> {
  const first = await serve(t, path);
  await first.http("PUT", THING, { properties: { level: { type: "integer" } } });
  for (let level = 1; level <= 20; level += 1) await putLevel(first, level);
  await stop(first, t);
  const second = await serve(t, path);
  for (let level = 21; level <= 40; level += 1) await putLevel(second, level);
  await stop(second, t);
}

async function putLevel({ http }: Served, level: number): Promise<void> {
  await http("PUT", `${THING}/properties/level`, { level });
}

/** Everything is there, and nothing is told. */
async function isUnharmed(t: Test, path: string, what: string): Promise<void> {
  const served = await serve(t, path);
  const { body } = await served.http("GET", `${THING}/properties-history?limit=100`);
  t.equal((body as { data: unknown[] }).data.length, 40, `${what}: all of it is there afterwards`);
  t.match((await served.http("GET", "/gateway")).body, {
    store: { state: "ok", gaps_count: 0, salvaged: null },
  });
  await stop(served, t);
}

function cannotMount(t: Test): void {
  const reason = "mounting a small file system takes root";
  if (isCi) t.fail(reason);
  else t.pass(`skipped: ${reason}`);
}

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-access-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const FILES = [/^CURRENT$/, /^MANIFEST-/, /^\d+\.log$/, /^\d+\.ldb$/];

await test(
  "a file that may not be read ends the start with 74, is named, and nothing is harmed",
  { skip },
  async (t) => {
    const path = join(temporaryFolder(t), "store");
    await makeStore(t, path);
    const db = join(path, "db");
    for (const pattern of FILES) {
      const name = readdirSync(db).find((each) => pattern.test(each)) ?? "none";
      const file = join(db, name);
      const bytes = readFileSync(file);
      chmodSync(file, 0);
      const { code, stderr } = await daemonOn(t, path).ended;
      chmodSync(file, 0o600);
      t.equal(code, 74, name);
      t.match(stderr, `sluice: could not open the database in ${db}`, name);
      t.match(stderr, file, `${name} is named`);
      t.match(stderr, /must belong to the user who runs the gateway\n$/, name);
      t.same(readFileSync(file), bytes, `${name} is as it was`);
      t.notOk(readdirSync(path).some((each) => each.startsWith("damaged-")));
    }
    await isUnharmed(t, path, "files");
  },
);

await test(
  "a folder that may not be written ends the start with 74, is named, and nothing is harmed",
  { skip },
  async (t) => {
    const path = join(temporaryFolder(t), "store");
    await makeStore(t, path);
    for (const folder of [path, join(path, "db")]) {
      chmodSync(folder, 0o500);
      const { code, stderr } = await daemonOn(t, path).ended;
      chmodSync(folder, 0o700);
      t.equal(code, 74, folder);
      t.match(stderr, folder, "it is named");
      t.match(stderr, /must belong to the user who runs the gateway\n$/);
    }
    await isUnharmed(t, path, "folders");
  },
);

await test(
  "a folder that may not be written while it runs is waited for, and reads go on",
  { skip },
  async (t) => {
    const path = join(temporaryFolder(t), "store");
    const served = await serve(t, path);
    const { http } = served;
    await http("PUT", THING, { properties: { text: { type: "string" } } });
    const put = async (text: string): Promise<number> =>
      (await http("PUT", `${THING}/properties/text`, { text })).status;
    // LevelDB goes on with the log it has open, and begins a new one when that is long enough.
    const long = "x".repeat(60_000);
    t.equal(await put("first"), 200);
    chmodSync(join(path, "db"), 0o500);
    const statuses = new Set<number>();
    for (let writes = 0; writes < 1_000 && !statuses.has(503); writes += 1) {
      statuses.add(await put(`${writes}${long}`));
    }
    t.ok(statuses.has(503), "it is refused");
    t.equal((await http("GET", `${THING}/properties-history?limit=1000`)).status, 200);
    t.match((await http("GET", "/gateway")).body, { store: { state: "storage-full" } });
    chmodSync(join(path, "db"), 0o700);
    for (let status = 503; status !== 200;) status = await put("last");
    t.same((await http("GET", `${THING}/properties/text`)).body, { text: "last" });
    await stop(served, t);
  },
);

await test("a file system that is read-only at the start ends it with 74 and says so", async (t) => {
  const disk = mountSmallDisk(t, 32);
  if (disk === undefined) {
    cannotMount(t);
    return;
  }
  const path = join(disk.path, "store");
  await makeStore(t, path);
  execFileSync("mount", ["-o", "remount,ro", disk.path]);
  const { code, stderr } = await daemonOn(t, path).ended;
  t.equal(code, 74);
  t.match(stderr, `sluice: could not open the database in ${path}`);
  t.match(stderr, /read-only.*; mount it writable/);
  execFileSync("mount", ["-o", "remount,rw", disk.path]);
  await isUnharmed(t, path, "the file system");
  // And where there is no store yet.
  const empty = join(disk.path, "empty");
  mkdirSync(empty);
  execFileSync("mount", ["-o", "remount,ro", disk.path]);
  const first = await daemonOn(t, join(empty, "store")).ended;
  t.equal(first.code, 74, "a first start, too");
  t.match(first.stderr, /read-only.*; mount it writable/);
});

await test("a salvage that the disk has no room for ends the start with 74, and the next takes it up", async (t) => {
  const disk = mountSmallDisk(t, 32);
  if (disk === undefined) {
    cannotMount(t);
    return;
  }
  const path = join(disk.path, "store");
  await makeStore(t, path);
  rmSync(join(path, "db", "CURRENT"));
  await disk.leave(0);
  for (let starts = 0; starts < 2; starts += 1) {
    const { code, stderr } = await daemonOn(t, path).ended;
    t.equal(code, 74);
    t.match(stderr, /; free space on the disk\n$/);
    t.notOk(existsSync(join(path, "db.rebuilt")), "what it had made is gone again");
  }
  disk.free();
  const served = await serve(t, path);
  const { body } = await served.http("GET", `${THING}/properties-history?limit=100`);
  t.equal((body as { data: unknown[] }).data.length, 40);
  t.match((await served.http("GET", "/gateway")).body, {
    store: { state: "ok", gaps_count: 0, salvaged: { damagedRows: 0 } },
  });
  await stop(served, t);
});
