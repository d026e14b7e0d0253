import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "tap";
import { Daemon } from "../daemon.ts";
import { folderOf } from "./kit.ts";
import { makeRequest } from "./openssl.ts";
import { ADMIN, openTlsSite, run } from "./site.ts";

const ROUNDS = 8;

await test("a certificate that was handed out is known after a kill at any moment", async (t) => {
  const site = await openTlsSite(t);
  const folder = folderOf(t);
  const headers = { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" };
  const post = async (port: number, path: string, body: unknown): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      ...{ method: "POST", headers, body: JSON.stringify(body) },
    });
  await post(site.httpPort, "/site/things", { id: "boiler" });
  const resources = [{ entity: "things", id: ["boiler"] }];
  const made = await post(site.httpPort, "/site/mqtt", { resources });
  const { ulid } = (await made.json()) as { ulid: string };
  const path = `/site/mqtt/${ulid}/certificates`;
  const csr = makeRequest(folder, "device").toString();
  const answered: string[] = [];
  let { daemon, httpPort, httpsPort } = site;
  for (let round = 0; round < ROUNDS; round += 1) {
    const port = httpPort;
    const asked = Array.from({ length: 20 }, async () => {
      const answer = await post(port, path, { csr });
      const { certificate } = (await answer.json()) as { certificate?: string };
      if (certificate !== undefined) answered.push(certificate);
    });
    // Between none of them and all.
    await delay(40 + round * 12);
    daemon.signal("SIGKILL");
    await Promise.allSettled(asked);
    await daemon.ended;
    daemon = new Daemon(t, [], site.env);
    ({ httpPort, httpsPort = 0 } = await daemon.ready);
  }
  t.comment(`${answered.length} of ${ROUNDS * 20} were answered`);
  t.ok(answered.length > 0 && answered.length < ROUNDS * 20, "kills fell between them");
  for (const [index, certificate] of answered.entries()) {
    const cert = join(folder, "answered.crt");
    writeFileSync(cert, certificate);
    const as = ["--cert", cert, "--key", join(folder, "device.key"), "--cacert", site.ca];
    const url = `https://localhost:${httpsPort}/site/things/boiler`;
    const got = await run(t, "curl", ["-sS", "-o", "/dev/null", "-w", "%{http_code}", ...as, url]);
    t.match(got, { code: 0, output: "200" }, `certificate ${index + 1}`);
  }
  const list = await fetch(`http://127.0.0.1:${httpPort}${path}?limit=1000`, { headers });
  const { data } = (await list.json()) as { data: readonly unknown[] };
  t.ok(data.length >= answered.length, "some were made and never seen");
});
