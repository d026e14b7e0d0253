import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { DAY_MS, folderOf } from "../tls/kit.ts";
import { run, type TlsStatus } from "../tls/site.ts";
import { clockStateOf } from "./life.ts";
import { missingCompiler, ShiftedDaemon } from "./shifted-daemon.ts";

const TLS = { SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" };
const YEARS_2 = 731 * DAY_MS;

await test(
  "devices whose clocks are right, or in 1970, are served by a box in 1970, one that is right, and one two years ahead or back again",
  { skip: missingCompiler ?? false },
  async (t) => {
    const ca = join(folderOf(t), "ca.crt");
    const sinceEpoch = Date.now();
    const daemon = await ShiftedDaemon.start(t, -sinceEpoch + DAY_MS);
    const fingerprints = new Set<string>();
    let step = 0;
    for (const [stepMs, state, ends] of [
      [0, "behind", "2049"],
      [sinceEpoch - DAY_MS, "known", "soon"],
      [YEARS_2, "ahead", "2049"],
      [-YEARS_2, "known", "soon"],
    ] as const) {
      step += 1;
      await daemon.end("SIGTERM");
      daemon.step(stepMs);
      await daemon.begin(TLS);
      t.equal(await clockStateOf(daemon), state, `step ${step}`);
      const { listeners, tls } = (await daemon.call("GET", "/gateway")).json as TlsStatus;
      fingerprints.add(tls.ca.sha256_fingerprint);
      const isLong = tls.certificate.not_after.startsWith("2049");
      t.equal(isLong, ends === "2049", `step ${step} ends ${tls.certificate.not_after}`);
      writeFileSync(ca, await (await fetch(`${daemon.url}/ca.crt`)).text());
      for (const { port } of listeners.filter(({ encrypted }) => encrypted)) {
        for (const at of [1, Math.floor(Date.now() / 1000)]) {
          const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", ca, "-brief"];
          const checks = ["-verify_return_error", "-attime", String(at)];
          const { code, output } = await run(t, "openssl", [...args, ...checks]);
          t.equal(code, 0, `step ${step}, device at ${at}: ${output}`);
        }
      }
    }
    t.equal(fingerprints.size, 1, "one CA all the time");
  },
);
