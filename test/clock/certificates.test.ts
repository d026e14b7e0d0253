import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { DAY_MS, folderOf } from "../tls/kit.ts";
import { makeRequest, openssl } from "../tls/openssl.ts";
import { run, type TlsStatus } from "../tls/site.ts";
import { clockStateOf } from "./life.ts";
import { missingCompiler } from "../preload.ts";
import { ShiftedDaemon } from "./shifted-daemon.ts";

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

await test(
  "a device whose certificate has expired is refused over MQTT and HTTP, told of, and renews it by EST",
  { skip: missingCompiler ?? false },
  async (t) => {
    const folder = folderOf(t);
    const inFolder = (name: string): string => join(folder, name);
    const daemon = await ShiftedDaemon.start(t);
    await daemon.end("SIGTERM");
    await daemon.begin(TLS);
    writeFileSync(inFolder("ca.crt"), await (await fetch(`${daemon.url}/ca.crt`)).text());
    await daemon.did("PUT", "/A/things/boiler", { properties: { target: { type: "number" } } });
    const login = await daemon.makeCredential([{ entity: "things", id: ["boiler"] }]);
    const csr = makeRequest(folder, "device").toString();
    const issued = await daemon.did("POST", `/A/mqtt/${login.ulid}/certificates`, { csr });
    writeFileSync(inFolder("device.crt"), (issued.json as { certificate: string }).certificate);

    const portOf = async (wanted: string): Promise<number> => {
      const { listeners } = (await daemon.call("GET", "/gateway")).json as TlsStatus;
      const found = listeners.find(({ encrypted, protocol }) => encrypted && protocol === wanted);
      return found?.port ?? 0;
    };
    const shown = ["--cert", inFolder("device.crt"), "--key", inFolder("device.key")];
    const publish = async (): Promise<number | null> => {
      const at = ["-h", "localhost", "-p", String(await portOf("mqtt")), "-i", "pump"];
      const said = ["-t", "set/A/things/boiler/properties/target", "-m", '{"target":1}', "-q", "1"];
      const as = ["--cafile", inFolder("ca.crt"), ...shown];
      return (await run(t, "mosquitto_pub", [...at, ...as, ...said])).code;
    };
    const curl = async (path: string, ...more: readonly string[]): Promise<string> => {
      const url = `https://localhost:${await portOf("http")}${path}`;
      const as = ["--cacert", inFolder("ca.crt"), ...shown, "-o", inFolder("answer")];
      return (await run(t, "curl", ["-sS", ...as, "-w", "%{http_code}", ...more, url])).output;
    };
    const values = "/A/things/boiler/properties";
    t.equal(await publish(), 0);
    t.equal(await curl(values), "200");

    await daemon.end("SIGTERM");
    daemon.step(FIXED_LIMITS.certificateLifeS * 1000);
    await daemon.begin(TLS);
    t.equal(await clockStateOf(daemon), "known");
    t.equal(await publish(), 5, "CONNACK 5: not authorised");
    const told = await daemon.call("GET", "/gateway/refusals?client=pump");
    const expected = { cause: "expired-certificate", protocol: "mqtts", client: "pump" };
    t.match((told.json as { data: readonly object[] }).data, [expected]);
    t.equal(await curl(values), "401");

    writeFileSync(
      inFolder("est.b64"),
      openssl(folder, "req", "-in", "device.csr", "-outform", "DER").toString("base64"),
    );
    const body = ["-H", "Content-Type: application/pkcs10", "--data-binary"];
    const est = "/.well-known/est";
    const request = [...body, `@${inFolder("est.b64")}`];
    t.equal(
      await curl(`${est}/simpleenroll`, ...request),
      "401",
      "a new one is not to be had by it",
    );
    t.equal(await curl(`${est}/simplereenroll`, ...request), "200");
    const answer = Buffer.from(readFileSync(inFolder("answer"), "utf8"), "base64");
    writeFileSync(inFolder("answer.p7"), answer);
    const read = ["pkcs7", "-inform", "DER", "-in", "answer.p7", "-print_certs"];
    writeFileSync(inFolder("device.crt"), openssl(folder, ...read));
    t.equal(await curl(values), "200");
    t.equal(await publish(), 0, "and is a device again");
  },
);
