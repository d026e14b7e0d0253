import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type Test } from "tap";
import { httpTo, type Http } from "../crash/http.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";

const ADMIN_TOKEN = "slu_damage-test-administrator";

type Served = { readonly daemon: Daemon; readonly http: Http };

async function serve(t: Test, env: NodeJS.ProcessEnv): Promise<Served> {
  const daemon = new Daemon(t, [], { ...env, SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN });
  const { httpPort } = await daemon.ready;
  return { daemon, http: httpTo(httpPort, ADMIN_TOKEN) };
}

const THING = "/site/things/boiler";

/** A store with a Thing and 40 values, after a clean stop. */
async function makeStore(t: Test, env: NodeJS.ProcessEnv): Promise<void> {
  const { daemon, http } = await serve(t, env);
  const { status } = await http("PUT", THING, { properties: { level: { type: "integer" } } });
  t.equal(status, 201);
  for (let level = 1; level <= 40; level += 1) {
    t.equal((await http("PUT", `${THING}/properties/level`, { level })).status, 200);
  }
  daemon.signal("SIGTERM");
  t.equal((await daemon.ended).code, 0);
}

type Answer = { readonly store: Readonly<Record<string, unknown>> };

async function storeOf(http: Http): Promise<Answer["store"]> {
  return ((await http("GET", "/gateway")).body as Answer).store;
}

await test("the daemon starts on a damaged store, serves the rest, and says what is not there", async (t) => {
  const env = daemonEnvironment(t);
  await makeStore(t, env);
  const db = join(env.SLUICE_STORE__PATH, "db");
  const log = join(
    db,
    readdirSync(db).find((name) => name.endsWith(".log"))!,
  );
  const bytes = readFileSync(log);
  // In the middle of one of the batches of 40 values.
  const at = bytes.indexOf('"level":20') + 9;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(log, bytes);
  rmSync(join(db, "CURRENT"));
  const { daemon, http } = await serve(t, env);
  t.same((await http("GET", `${THING}/properties/level`)).body, { level: 40 });
  const history = (await http("GET", `${THING}/properties-history/level?limit=100`)).body;
  t.equal((history as { data: unknown[] }).data.length, 39);
  t.match(await storeOf(http), {
    state: "ok",
    changes_lost: 1,
    rows_damaged: 0,
    places_unreadable: 0,
    gaps_count: 1,
    gaps: [{ cause: "missing", class: "property", count: 1, since: String, until: String }],
    salvaged: { reason: String, setAside: "damaged-1", damagedLogs: 1, damagedBlocks: 0 },
  });
  t.ok(readdirSync(env.SLUICE_STORE__PATH).includes("damaged-1"), "what was found is kept");
  daemon.signal("SIGTERM");
  const { code, stdout } = await daemon.ended;
  t.equal(code, 0);
  for (const event of ["store.salvaged", "store.gap"]) t.match(stdout, `"event":"${event}"`);
  t.notMatch(stdout, /slu_|hash/, "no secret is told");

  const again = await serve(t, env);
  t.match(await storeOf(again.http), { gaps_count: 1, salvaged: null }, "the gap stays known");
});

await test("a store that nothing can be read of is replaced by an empty one, loudly", async (t) => {
  const env = daemonEnvironment(t);
  await makeStore(t, env);
  const db = join(env.SLUICE_STORE__PATH, "db");
  for (const name of readdirSync(db)) writeFileSync(join(db, name), "nothing of it is left");
  const { daemon, http } = await serve(t, env);
  t.equal((await http("GET", THING)).status, 404);
  t.match(await storeOf(http), { gaps_count: 1, gaps: [{ cause: "tail-lost", count: 41 }] });
  daemon.signal("SIGTERM");
  t.match((await daemon.ended).stdout, '"event":"store.salvaged"');
});
