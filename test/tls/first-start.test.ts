import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { Daemon } from "../daemon.ts";
import { provePair } from "../../src/tls/key-pair.ts";
import { ADMIN, openTlsSite, run } from "./site.ts";
import { daemonEnvironment } from "../daemon.ts";
import { DAY_MS } from "./kit.ts";

await test("a kill at any moment of the first start leaves a pair whole or not there, and the next start serves", async (t) => {
  const env = {
    ...daemonEnvironment(t),
    SLUICE_TLS__MQTT_PORT: "0",
    SLUICE_TLS__HTTPS_PORT: "0",
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN,
  };
  const folder = join(env.SLUICE_STORE__PATH, "pki");
  const files = ["ca.pem", "server.pem"].map((name) => join(folder, name));
  // As soon as each of these is there: the folder, a draft, the CA, the next draft.
  const moments = [folder, `${files[0] ?? ""}.new`, files[0] ?? "", `${files[1] ?? ""}.new`];
  let ca: string | undefined;
  for (const moment of moments) {
    const daemon = new Daemon(t, [], env);
    const isOver = { yet: false };
    void daemon.ended.then(() => (isOver.yet = true));
    void daemon.ready.then(() => (isOver.yet = true)).catch(() => undefined);
    while (!existsSync(moment) && !isOver.yet) await new Promise(setImmediate);
    daemon.signal("SIGKILL");
    await daemon.ended;
    for (const file of files.filter((path) => existsSync(path))) {
      const text = readFileSync(file, "utf8");
      t.equal(provePair(text, text).ok, true, `${file}, killed at ${moment}`);
    }
    const now = existsSync(files[0] ?? "") ? readFileSync(files[0] ?? "", "utf8") : undefined;
    if (ca !== undefined) t.equal(now, ca, "a CA that is there is the one that stays");
    ca = now;
  }
  const { httpsPort = 0, httpPort } = await new Daemon(t, [], env).ready;
  const pem = await (await fetch(`http://127.0.0.1:${httpPort}/ca.crt`)).text();
  if (ca !== undefined) t.ok(ca.includes(pem.trim()), "it is the CA of the first start still");
  t.ok(httpsPort > 0);
});

await test("a device whose clock says 1970, or is most of a year ahead, is served", async (t) => {
  const { mqttsPort, httpsPort, ca } = await openTlsSite(t);
  for (const port of [mqttsPort, httpsPort]) {
    for (const at of [1, Math.floor((Date.now() + 300 * DAY_MS) / 1000)]) {
      const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", ca, "-brief"];
      const checks = ["-verify_return_error", "-attime", String(at)];
      t.match(await run(t, "openssl", [...args, ...checks]), { code: 0 }, String(at));
    }
  }
});

await test("a restart has the same CA and the same certificate", async (t) => {
  const first = await openTlsSite(t);
  const before = await first.status();
  first.daemon.signal("SIGTERM");
  await first.daemon.ended;
  const again = await openTlsSite(t, { SLUICE_STORE__PATH: first.env.SLUICE_STORE__PATH });
  const { tls } = await again.status();
  t.same(tls.ca, before.tls.ca);
  t.same(tls.certificate, before.tls.certificate);
});
