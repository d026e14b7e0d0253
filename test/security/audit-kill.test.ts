import { test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";

const TOKEN = "slu_audit-outlives-a-kill-0123";

type Entry = { readonly number: number; readonly action: string; readonly target: string };

await test("after a kill every change that was made has its record, and every record its change", async (t) => {
  const env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const confirmed = new Set<string>();
  for (let round = 0; round < 3; round += 1) {
    const daemon = new Daemon(t, [], env);
    const { httpPort } = await daemon.ready;
    const url = `http://127.0.0.1:${httpPort}`;
    const write = async (worker: number): Promise<void> => {
      for (let n = 0; ; n += 1) {
        const path = `/site/things/r${round}-w${worker}-${n}`;
        const reply = await fetch(url + path, { method: "PUT", headers, body: "{}" });
        if (reply.status === 201) confirmed.add(path);
        if (confirmed.size >= (round + 1) * 100) daemon.signal("SIGKILL");
      }
    };
    await Promise.allSettled([0, 1, 2, 3].map(write));
    await daemon.ended;
  }
  const daemon = new Daemon(t, [], { ...env, SLUICE_AUDIT__ROWS: "1000000" });
  const { httpPort } = await daemon.ready;
  const list = async (path: string): Promise<readonly Readonly<Record<string, string>>[]> => {
    const reply = await fetch(`http://127.0.0.1:${httpPort}${path}`, { headers });
    return ((await reply.json()) as { data: Readonly<Record<string, string>>[] }).data;
  };
  const things = (await list("/site/things?limit=1000")).map(
    ({ id }) => `/site/things/${id ?? ""}`,
  );
  const recorded = (await list("/gateway/audit?limit=1000")) as unknown as readonly Entry[];
  const created = recorded.filter(({ target }) => target.startsWith("/site/things/"));
  t.ok(confirmed.size >= 300);
  t.same(created.map(({ target }) => target).sort(), things.toSorted(), "one for one");
  for (const path of confirmed) t.ok(things.includes(path), path);
  const numbers = recorded.map(({ number }) => number).reverse();
  t.same(
    numbers,
    numbers.map((_, index) => index + 1),
    "no number is missing, none is twice",
  );
  const starts = recorded.filter(({ action }) => action === "gateway.start").length;
  t.equal(starts, 4);
  t.equal(recorded.filter(({ action }) => action === "gateway.stop").length, 0);
  const changes = recorded.filter(({ action }) => action === "config.change");
  t.same(
    changes.map(({ target }) => target),
    ["audit.rows"],
  );
});
